//! Random ids and keys.

use std::io;

use data_encoding::{BASE32_NOPAD, HEXLOWER};

/// A request id in the form of a UUID. It can be guessed.
pub(crate) fn request_id() -> String {
    let random = fastrand::u128(..);
    let hex = format!("{random:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Random bytes that nobody can guess.
///
/// # Errors
/// When the system has none.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Up to 51 letters and digits that nobody can guess.
pub(crate) fn letters(count: usize) -> io::Result<String> {
    let mut text = BASE32_NOPAD.encode(&random::<32>()?);
    text.truncate(count);
    Ok(text)
}

/// A UUID that nobody can guess.
pub(crate) fn uuid() -> io::Result<String> {
    let hex = HEXLOWER.encode(&random::<16>()?);
    Ok(format!(
        "{}-{}-4{}-a{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_form() {
        let uuid = uuid().unwrap();
        let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
    }
}
