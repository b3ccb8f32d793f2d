//! The file with every value that there is: what it is for, its name in the environment, its default.

use std::fmt::Write;

use toml::Value;

use super::overrides::said_of;
use super::{Config, leaves};

/// Longest line of a comment.
const WIDTH: usize = 100;

/// The text. It is a configuration that says nothing: what has a default is commented out.
pub(crate) fn annotated() -> String {
    let mut text = String::from(
        "# The configuration of `consentry serve`. What is commented out is the default, or an example of\n\
         # nothing. Every value can be set by the environment instead, by the name that stands above it.\n",
    );
    let defaults = Value::try_from(Config::default()).unwrap_or(Value::Boolean(false));
    let mut section = String::new();
    for leaf in leaves() {
        if leaf.section != section {
            section.clone_from(&leaf.section);
            text.push('\n');
            comment(&mut text, &said_of(&section));
            let _ = writeln!(text, "[{section}]");
        }
        text.push('\n');
        comment(&mut text, &leaf.says);
        comment(&mut text, &leaf.variable());
        let default = defaults.get(&leaf.section).and_then(|section| section.get(&leaf.key));
        let _ = match default {
            Some(value) => writeln!(text, "#{} = {value}", leaf.key),
            None => writeln!(text, "# {} = …", leaf.key),
        };
    }
    text
}

fn comment(text: &mut String, says: &str) {
    let mut line = String::new();
    for word in says.split(' ') {
        if !line.is_empty() && line.chars().count() + word.chars().count() + 3 > WIDTH {
            let _ = writeln!(text, "# {line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(text, "# {line}");
}
