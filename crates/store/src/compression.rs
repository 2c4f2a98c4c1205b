//! Compression of items' bodies with a dictionary.
//!
//! An event is too short to compress well by itself: most of it is what every event has. A zstd
//! dictionary knows that beforehand. Each frame names its dictionary, and one without a name was
//! made without a dictionary, which any decompressor reads.

use std::cell::RefCell;
use std::fmt;
use std::sync::LazyLock;

use zstd::bulk;
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::error::StoreError;

/// Frames made with it bear the number 2. Without it they cannot be read, so this file may never
/// change: a better dictionary is another file, with another number, beside this one.
/// (`bench/examples/dictionary.rs` trains and measures.)
const DICTIONARY: &[u8] = include_bytes!("dictionary-2.zdict");
/// The longest text that a body may decompress to. A request has at most 6 MB, 4.5 MB of which are
/// the form; a byte of it that is no UTF-8 becomes three, and may stand in a field and in `data`.
const MAX_TEXT_BYTES: usize = 32 * 1024 * 1024;
/// Level 1 gives items that are a twentieth larger for hardly less work, level 9 as much smaller
/// ones for five times the work.
const LEVEL: i32 = 3;

// Digested once, and not before there is something to compress or decompress.
static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

/// Compresses texts, one frame each. Public for whoever measures it.
pub struct Compressor(bulk::Compressor<'static>);

impl fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Compressor")
    }
}

impl Compressor {
    /// Digests the dictionary, the first time.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new() -> Result<Compressor, StoreError> {
        bulk::Compressor::with_prepared_dictionary(&ENCODER)
            .map(Compressor)
            .map_err(|_| StoreError::Corrupt("no memory to compress with"))
    }

    /// A frame.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn compress(&mut self, text: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.0
            .compress(text)
            .map_err(|_| StoreError::Corrupt("it does not compress"))
    }
}

thread_local! {
    /// Kept, as making one takes longer than decompressing an event.
    static DECOMPRESSOR: RefCell<Option<bulk::Decompressor<'static>>> =
        RefCell::new(bulk::Decompressor::with_prepared_dictionary(&DECODER).ok());
}

/// The text of a frame, made with our dictionary or with none.
pub(crate) fn decompress(body: &[u8]) -> Result<Vec<u8>, StoreError> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        decompressor
            .as_mut()
            .ok_or(StoreError::Corrupt("no memory to decompress with"))?
            // The frame says how large it is, and one that says more than the bound is refused.
            .decompress(body, MAX_TEXT_BYTES)
            .map_err(|_| StoreError::Corrupt("its body does not decompress"))
    })
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_dictionary_never_changes() {
        let digest = Sha256::digest(DICTIONARY);
        let begins = [0xfa, 0x20, 0x36, 0x45, 0xb7, 0xe7, 0xc7, 0x20];
        assert!(digest.starts_with(&begins));
    }

    #[test]
    fn a_frame_names_its_dictionary() {
        let frame = Compressor::new().unwrap().compress(b"text").unwrap();
        let number = zstd::zstd_safe::get_dict_id_from_frame(&frame);
        assert_eq!(number.map(u32::from), Some(2));
        assert_eq!(decompress(&frame).unwrap(), b"text");
    }

    #[test]
    fn a_frame_that_was_made_without_a_dictionary_is_read() {
        let text = b"what was stored before there was a dictionary".repeat(20);
        let frame = bulk::compress(&text, 1).unwrap();
        assert_eq!(decompress(&frame).unwrap(), text);
    }

    #[test]
    fn a_frame_of_another_dictionary_is_not_read() {
        let mut other = DICTIONARY.to_vec();
        other[4] = 3;
        let mut compressor = bulk::Compressor::with_dictionary(LEVEL, &other).unwrap();
        let frame = compressor.compress(b"text").unwrap();
        assert!(decompress(&frame).is_err());
    }

    #[test]
    fn a_text_that_says_to_be_longer_than_any_of_ours_is_refused() {
        let frame = bulk::compress(&vec![0; MAX_TEXT_BYTES + 1], 1).unwrap();
        assert!(decompress(&frame).is_err());
    }
}
