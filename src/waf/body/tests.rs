use super::*;

fn arguments(parts: &Parts) -> Vec<(String, String)> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    parts.arguments.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_form_is_decoded_and_keeps_names_that_come_twice() {
    let parts = read(Processor::UrlEncoded, b"", b"a=1+2&a=%3c&b&=x&&c=%zz");
    assert_eq!(arguments(&parts), pairs(&[("a", "1 2"), ("a", "<"), ("b", ""), ("", "x"), ("c", "%zz")]));
}

#[test]
fn cookies_stay_as_they_are() {
    assert_eq!(
        cookies(b"a=1; b=%20=;c"),
        vec![(b"a".as_slice(), b"1".as_slice()), (b"b", b"%20="), (b"c", b"")]
    );
}

#[test]
fn every_scalar_of_json_is_an_argument() {
    let body = br#"{"a":{"b":[1,"x",{"c":null}]},"a":true,"n":1.5}"#;
    let parts = read(Processor::Json, b"", body);
    assert_eq!(parts.error, None);
    let expected = [
        ("json.a.b.array_0", "1"),
        ("json.a.b.array_1", "x"),
        ("json.a.b.array_2.c", ""),
        ("json.a", "true"),
        ("json.n", "1.5"),
    ];
    assert_eq!(arguments(&parts), pairs(&expected));
}

#[test]
fn json_that_is_none_is_an_error_and_what_came_before_is_kept() {
    let parts = read(Processor::Json, b"", br#"{"a":"<script>","b":"#);
    assert_eq!((parts.error, arguments(&parts)), (Some("not JSON"), pairs(&[("json.a", "<script>")])));
    let deep = "[".repeat(4_000);
    assert!(read(Processor::Json, b"", deep.as_bytes()).error.is_some());
}

#[test]
fn xml_gives_its_text_and_attributes() {
    let parts = read(
        Processor::Xml,
        b"",
        b"<?xml version=\"1.0\"?><a x=\"1 &lt; 2\">t&amp;u<b><![CDATA[<c>]]></b></a>",
    );
    assert_eq!(parts.error, None);
    assert_eq!(parts.xml_text.as_deref(), Some(b"t&u<c>".as_slice()));
    assert_eq!(parts.xml_attributes, vec![b"1 < 2".to_vec()]);
    assert!(read(Processor::Xml, b"", b"<a><b></a>").error.is_some());
    assert!(read(Processor::Xml, b"", b"<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>").error.is_some());
    assert!(read(Processor::Xml, b"", b"no element").error.is_some());
}

const FORM: &[u8] = b"multipart/form-data; boundary=\"xy\"";

#[test]
fn a_form_in_parts_gives_fields_files_and_headers() {
    let body = b"--xy\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\ntwo\r\n--xy\r\n\
        Content-Disposition: form-data; name=\"f\"; filename=\"x\\\".php\"\r\n\
        Content-Type: text/plain\r\n\r\n123\r\n--xy--\r\n";
    let parts = read(Processor::Multipart, FORM, body);
    assert_eq!((parts.error, parts.strict_error, parts.unmatched_boundary), (None, false, false));
    assert_eq!(arguments(&parts), pairs(&[("a", "one\r\ntwo")]));
    assert_eq!(parts.files, vec![File { field: b"f".to_vec(), name: b"x\".php".to_vec(), size: 3 }]);
    assert_eq!(parts.part_headers.last(), Some(&(b"f".to_vec(), b"Content-Type: text/plain".to_vec())));
}

#[test]
fn a_form_that_readers_could_disagree_about_is_a_strict_error() {
    let part = "Content-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    for body in [
        format!("--xy\r\n{part}--xy--\r\ntrailing"),
        format!("--xy\r\n{part}"),
        format!("--xy\n{part}--xy--\r\n"),
        format!("--xy\r\nX: 1\r\n 2\r\n{part}--xy--\r\n"),
        format!("--xy\r\nno header\r\n{part}--xy--\r\n"),
        "--xy\r\nContent-Type: text/plain\r\n\r\n1\r\n--xy--\r\n".to_owned(),
        "--xy\r\nContent-Disposition: form-data; name='a'\r\n\r\n1\r\n--xy--\r\n".to_owned(),
        "--xy\r\nContent-Disposition: form-data; name=\"a\"; name=\"b\"\r\n\r\n1\r\n--xy--\r\n".to_owned(),
    ] {
        assert!(read(Processor::Multipart, FORM, body.as_bytes()).strict_error, "{body:?}");
    }
    let unmatched = format!("--xy\r\n{part}--xyz\r\n--xy--\r\n");
    assert!(read(Processor::Multipart, FORM, unmatched.as_bytes()).unmatched_boundary);
    for boundary in ["", "; boundary=", "; boundary=a; boundary=b", "; boundary=\"a", "; boundary=a<b"] {
        let content_type = format!("multipart/form-data{boundary}");
        assert!(
            read(Processor::Multipart, content_type.as_bytes(), b"--a--").error.is_some(),
            "{boundary:?}"
        );
    }
}
