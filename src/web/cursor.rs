//! Cursors: where the next page starts, signed, bound to the parameters.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flows::IdKey;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Problem, ProblemCode};

/// Makes and reads the cursors of one operation with one set of parameters.
#[derive(Debug)]
pub struct Cursor<'a> {
    key: &'a IdKey,
    bound_to: String,
}

impl<'a> Cursor<'a> {
    /// Cursors for `operation` with `parameters`, all but the cursor itself.
    #[must_use]
    pub fn new(key: &'a IdKey, operation: &str, parameters: &[&str]) -> Self {
        Self { key, bound_to: format!("{operation}\u{1f}{}", parameters.join("\u{1f}")) }
    }

    /// A cursor that holds `position`.
    #[must_use]
    pub fn write<T: Serialize>(&self, position: &T) -> String {
        let body = serde_json::to_vec(position).unwrap_or_default();
        let body = URL_SAFE_NO_PAD.encode(body);
        format!("{body}.{}", self.mac(&body))
    }

    /// The position a cursor holds.
    ///
    /// # Errors
    ///
    /// `request.cursor` if it was changed or belongs to other parameters.
    pub fn read<T: DeserializeOwned>(&self, cursor: &str) -> Result<T, Problem> {
        let refused = || {
            Problem::new(ProblemCode::CursorInvalid)
                .detail("Send a cursor unchanged and with the parameters of the first page.")
        };
        let (body, mac) = cursor.split_once('.').ok_or_else(refused)?;
        if !crypto::digest::same(mac.as_bytes(), self.mac(body).as_bytes()) {
            return Err(refused());
        }
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| refused())?;
        serde_json::from_slice(&body).map_err(|_| refused())
    }

    fn mac(&self, body: &str) -> String {
        let digest = self.key.digest(&["cursor", &self.bound_to, body]);
        URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_only_as_it_was_written_and_for_what() {
        let key = IdKey::new([1; 32]);
        let written = Cursor::new(&key, "institutions", &["GB"]).write(&"gb-bank");
        let read = |operation: &str, country: &str, text: &str| {
            Cursor::new(&key, operation, &[country]).read::<String>(text)
        };
        assert_eq!(read("institutions", "GB", &written).unwrap(), "gb-bank");
        assert_eq!(read("institutions", "DE", &written).unwrap_err().code, "request.cursor");
        assert_eq!(read("accounts", "GB", &written).unwrap_err().code, "request.cursor");
        assert!(read("institutions", "GB", &format!("A{written}")).is_err());
        assert!(read("institutions", "GB", "").is_err());
    }
}
