//! JSON as PHP's `json_encode` writes it: `/` escaped, everything outside ASCII as `\u` and four digits.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The text of a value; fields keep the order of their declaration.
pub(super) fn encode(value: &impl Serialize) -> String {
    let mut text = Vec::with_capacity(1024);
    // Our own shapes cannot fail: their keys are strings and a vector takes every byte.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut text, Php));
    String::from_utf8(text).unwrap_or_default()
}

struct Php;

impl Formatter for Php {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut units = [0_u16; 2];
        for character in fragment.chars() {
            match character {
                '/' => writer.write_all(b"\\/")?,
                ascii if ascii.is_ascii() => writer.write_all(&[ascii as u8])?,
                other => {
                    for unit in other.encode_utf16(&mut units) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_like_php_does() {
        assert_eq!(
            encode(&"https://a/ü 📦\n\"\u{1}"),
            r#""https:\/\/a\/\u00fc \ud83d\udce6\n\"\u0001""#
        );
    }
}
