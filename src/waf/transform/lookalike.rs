//! Characters that databases and languages take for ASCII.
//!
//! Windows' best fit of Unicode to ASCII: an apostrophe of full width, or one
//! that is printed curved, ends a string of SQL where the server converts it.

/// The ASCII byte that a code point is taken for; itself where it is ASCII.
pub(super) fn ascii_of(code: u32) -> Option<u8> {
    if let Ok(byte @ 0..=0x7f) = u8::try_from(code) {
        return Some(byte);
    }
    // Full width: U+FF01 to U+FF5E stand in the order of ASCII.
    if (0xff01..=0xff5e).contains(&code) {
        return u8::try_from(code - 0xfee0).ok();
    }
    let character = char::from_u32(code)?;
    if character.is_whitespace() {
        return Some(b' ');
    }
    LOOKALIKES.iter().find(|(_, all)| all.contains(character)).map(|(byte, _)| *byte)
}

/// Each byte with what is taken for it: letters with marks, and punctuation.
#[rustfmt::skip]
const LOOKALIKES: &[(u8, &str)] = &[
    (b'!', "\u{a1}ǃ"),
    (b'"', "ʺ\u{201c}\u{201d}\u{201e}\u{201f}\u{2033}"),
    (b'#', "\u{266f}"),
    (b'%', "\u{66a}"),
    (b'\'', "\u{b4}ʹʻʼˈ\u{2018}\u{2019}\u{201a}\u{201b}\u{2032}"),
    (b'(', "\u{2768}"),
    (b'*', "\u{2217}"),
    (b'-', "\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2212}"),
    (b'.', "\u{2024}"),
    (b'/', "\u{2044}\u{2215}\u{2571}"),
    (b'1', "\u{b9}"),
    (b'2', "\u{b2}"),
    (b'3', "\u{b3}"),
    (b':', "\u{589}\u{2236}"),
    (b';', "\u{3b}"),
    (b'<', "\u{ab}\u{2039}\u{226a}\u{3008}"),
    (b'>', "\u{bb}\u{203a}\u{226b}\u{3009}"),
    (b'A', "ÀÁÂÃÄÅĀĂĄǍǞǠǺȀȂȦḀẠẢẤẦẨẪẬẮẰẲẴẶ"),
    (b'B', "ḂḄḆ"),
    (b'C', "ÇĆĈĊČḈ"),
    (b'D', "ĎḊḌḎḐḒ"),
    (b'E', "ÈÉÊËĒĔĖĘĚȄȆȨḔḖḘḚḜẸẺẼẾỀỂỄỆ"),
    (b'F', "Ḟ"),
    (b'G', "ĜĞĠĢǦǴḠ"),
    (b'H', "ĤȞḢḤḦḨḪ"),
    (b'I', "ÌÍÎÏĨĪĬĮİǏȈȊḬḮỈỊ"),
    (b'J', "Ĵ"),
    (b'K', "ĶǨḰḲḴ"),
    (b'L', "ĹĻĽḶḸḺḼ"),
    (b'M', "ḾṀṂ"),
    (b'N', "ÑŃŅŇǸṄṆṈṊ"),
    (b'O', "ÒÓÔÕÖŌŎŐƠǑǪǬȌȎȪȬȮȰṌṎṐṒỌỎỐỒỔỖỘỚỜỞỠỢ"),
    (b'P', "ṔṖ"),
    (b'R', "ŔŖŘȐȒṘṚṜṞ"),
    (b'S', "ŚŜŞŠȘṠṢṤṦṨ"),
    (b'T', "ŢŤȚṪṬṮṰ"),
    (b'U', "ÙÚÛÜŨŪŬŮŰŲƯǓǕǗǙǛȔȖṲṴṶṸṺỤỦỨỪỬỮỰ"),
    (b'V', "ṼṾ"),
    (b'W', "ŴẀẂẄẆẈ"),
    (b'X', "ẊẌ"),
    (b'Y', "ÝŶŸȲẎỲỴỶỸ"),
    (b'Z', "ŹŻŽẐẒẔ"),
    (b'\\', "\u{2216}"),
    (b'^', "\u{2c4}ˆ\u{2303}"),
    (b'_', "ˍ\u{2017}"),
    (b'`', "ˋ\u{2035}"),
    (b'a', "ªàáâãäåāăąǎǟǡǻȁȃȧḁạảấầẩẫậắằẳẵặ"),
    (b'b', "ḃḅḇ"),
    (b'c', "çćĉċčḉ"),
    (b'd', "ďḋḍḏḑḓ"),
    (b'e', "èéêëēĕėęěȅȇȩḕḗḙḛḝẹẻẽếềểễệ"),
    (b'f', "ḟ"),
    (b'g', "ĝğġģǧǵḡ"),
    (b'h', "ĥȟḣḥḧḩḫẖ"),
    (b'i', "ìíîïĩīĭįǐȉȋḭḯỉị"),
    (b'j', "ĵǰ"),
    (b'k', "ķǩḱḳḵ"),
    (b'l', "ĺļľḷḹḻḽ"),
    (b'm', "ḿṁṃ"),
    (b'n', "ñńņňǹṅṇṉṋ"),
    (b'o', "ºòóôõöōŏőơǒǫǭȍȏȫȭȯȱṍṏṑṓọỏốồổỗộớờởỡợ"),
    (b'p', "ṕṗ"),
    (b'r', "ŕŗřȑȓṙṛṝṟ"),
    (b's', "śŝşšſșṡṣṥṧṩẛ"),
    (b't', "ţťțṫṭṯṱẗ"),
    (b'u', "ùúûüũūŭůűųưǔǖǘǚǜȕȗṳṵṷṹṻụủứừửữự"),
    (b'v', "ṽṿ"),
    (b'w', "ŵẁẃẅẇẉẘ"),
    (b'x', "ẋẍ"),
    (b'y', "ýÿŷȳẏẙỳỵỷỹ"),
    (b'z', "źżžẑẓẕ"),
    (b'|', "ǀ\u{2223}\u{2758}"),
    (b'~', "\u{2dc}\u{223c}"),
];
