//! Guests in the text of WebAssembly, each good or bad in one way.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// Where the texts and records of a guest lie.
const IMAGE: u32 = 1024;

/// A part of a guest's memory, written before it runs.
#[derive(Default)]
pub struct Image(Vec<u8>);

impl Image {
    /// Address of bytes, at a multiple of four.
    fn place(&mut self, bytes: &[u8]) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let at = IMAGE + u32::try_from(self.0.len()).unwrap();
        self.0.extend_from_slice(bytes);
        at
    }

    /// Address and length of a text.
    pub fn text(&mut self, text: &str) -> [u32; 2] {
        [self.place(text.as_bytes()), u32::try_from(text.len()).unwrap()]
    }

    /// Address of a record of four-byte fields.
    pub fn record(&mut self, fields: &[u32]) -> u32 {
        self.place(&fields.iter().flat_map(|field| field.to_le_bytes()).collect::<Vec<_>>())
    }
}

/// What a guest does when it is called. Each is the body of a function that gives
/// the address of its result.
pub struct Guest {
    pub image: Image,
    pub describe: String,
    pub build_request: String,
    pub parse_response: String,
    /// What it exports beside `bank`.
    pub more: Vec<More>,
}

/// An interface that a component may leave out, with the same three functions.
pub struct More {
    pub interface: &'static str,
    pub describe: String,
    pub build_request: String,
    pub parse_response: String,
}

impl More {
    /// The functions, as the module exports them.
    fn text(&self) -> String {
        let Self { interface, describe, build_request, parse_response } = self;
        format!(
            r#"(func (export "consentry:connector/{interface}@1.0.0#describe") (result i32) {describe})
               (func (export "consentry:connector/{interface}@1.0.0#build-request") (param i32) (result i32)
                    {build_request})
               (func (export "consentry:connector/{interface}@1.0.0#parse-response") (param i32) (result i32)
                    {parse_response})"#
        )
    }
}

/// An address as the result of a function.
pub fn at(address: u32) -> String {
    format!("(i32.const {address})")
}

impl Default for Guest {
    /// Lodges consents, asks by GET at the very address of the profile, and reads
    /// that there is no balance.
    fn default() -> Self {
        let mut image = Image::default();
        let standard = image.text("Test 1");
        // Consents are lodged without a token; it has every ability.
        let describe = image.record(&[standard[0], standard[1], 0, 0, 0, 0, 3]);
        let build = image.record(&[0; 13]);
        let parse = image.record(&[0, 4, 4, 0]);
        Self {
            image,
            describe: at(describe),
            build_request: at(build),
            parse_response: at(parse),
            more: Vec::new(),
        }
    }
}

impl Guest {
    /// The component.
    pub fn component(&self) -> Vec<u8> {
        let has = |name: &str| self.more.iter().any(|more| more.interface == name);
        let world = match (has("payments"), has("resources")) {
            (false, false) => "connector",
            (true, false) => "connector-with-payments",
            (false, true) => "connector-with-resources",
            (true, true) => "complete-connector",
        };
        encoded(&self.text(), world)
    }

    /// The module that it is made of.
    pub fn text(&self) -> String {
        let data: String = self.image.0.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let Self { describe, build_request, parse_response, more, .. } = self;
        let more: String = more.iter().map(More::text).collect();
        format!(
            r#"(module
                (memory (export "memory") 2)
                (global $heap (mut i32) (i32.const 65536))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    (local.set $at (global.get $heap))
                    (global.set $heap (i32.and (i32.const -8)
                        (i32.add (i32.const 7) (i32.add (global.get $heap) (local.get 3)))))
                    (local.get $at))
                (func (export "consentry:connector/bank@1.0.0#describe") (result i32) {describe})
                (func (export "consentry:connector/bank@1.0.0#build-request") (param i32) (result i32)
                    {build_request})
                (func $parse (export "consentry:connector/bank@1.0.0#parse-response") (param i32) (result i32)
                    {parse_response})
                {more}
                (data (i32.const {IMAGE}) "{data}"))"#
        )
    }
}

/// A module in WebAssembly's text as a component that exports `bank` alone.
pub fn component_of(module: &str) -> Vec<u8> {
    encoded(module, "connector")
}

fn encoded(module: &str, world: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/wit");
    let (package, _) = resolve.push_path(wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}
