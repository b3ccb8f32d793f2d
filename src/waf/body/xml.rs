//! XML: its text in one piece, and the values of its attributes.
//!
//! Entities that a document declares itself are not expanded: a reference to
//! one is an error, and so is nothing that a parser behind us might expand
//! left unseen.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::Parts;

/// Reads a document.
pub(super) fn read(body: &[u8]) -> Parts {
    let mut document = Document::default();
    let error = document.read(body).err();
    Parts { xml_text: Some(document.text), xml_attributes: document.attributes, error, ..Parts::default() }
}

#[derive(Default)]
struct Document {
    text: Vec<u8>,
    attributes: Vec<Vec<u8>>,
}

const MALFORMED: &str = "not well-formed XML";

impl Document {
    fn read(&mut self, body: &[u8]) -> Result<(), &'static str> {
        let mut reader = Reader::from_reader(body);
        let (mut depth, mut rooted) = (0_usize, false);
        loop {
            match reader.read_event().map_err(|_| MALFORMED)? {
                Event::Start(element) => {
                    self.element(&element)?;
                    (depth, rooted) = (depth + 1, true);
                }
                Event::Empty(element) => {
                    self.element(&element)?;
                    rooted = true;
                }
                Event::End(_) => depth = depth.saturating_sub(1),
                Event::Text(text) => self.text.extend_from_slice(text.as_bytes()),
                Event::CData(text) => self.text.extend_from_slice(text.as_bytes()),
                Event::GeneralRef(reference) => self.reference(&reference)?,
                // What entities it declares is for rules to see, though none is ever expanded.
                Event::DocType(declared) => {
                    self.text.extend_from_slice(format!("<!DOCTYPE {}>", &*declared).as_bytes());
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof if depth == 0 && rooted => return Ok(()),
                Event::Eof => return Err(MALFORMED),
            }
        }
    }

    fn element(&mut self, element: &BytesStart<'_>) -> Result<(), &'static str> {
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|_| MALFORMED)?;
            let unescaped = quick_xml::escape::unescape(&attribute.value).map_err(|_| MALFORMED)?;
            self.attributes.push(unescaped.as_bytes().to_vec());
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), &'static str> {
        let written = format!("&{};", &**reference);
        let unescaped = quick_xml::escape::unescape(&written).map_err(|_| "an entity of its own")?;
        self.text.extend_from_slice(unescaped.as_bytes());
        Ok(())
    }
}
