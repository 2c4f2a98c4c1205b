//! What a data directory keeps of itself: names, keys and the secret. All of it is made at the first
//! start, readable by its owner only, and the same ever after.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Who the stack is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The UUID in the stack's id.
    pub uuid: String,
    /// The end of physical names, as CloudFormation makes them.
    pub suffix: String,
    /// The key that signs webhook requests, unless others are given.
    pub webhook_key: String,
    /// A password for each secret that the template has generated, by logical id.
    #[serde(default)]
    pub passwords: BTreeMap<String, String>,
    /// An access key for each function, by logical id: by it the AWS endpoint knows who calls.
    #[serde(default)]
    pub access_keys: BTreeMap<String, String>,
}

impl Identity {
    /// Reads the identity of a data directory, or makes it.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn load(directory: &Path) -> io::Result<Identity> {
        let identity = match read_private(&path(directory))? {
            Some(identity) => identity,
            None => Identity {
                uuid: uuid()?,
                suffix: letters(12)?,
                webhook_key: BASE64URL_NOPAD.encode(&random::<16>()?),
                passwords: BTreeMap::new(),
                access_keys: BTreeMap::new(),
            },
        };
        Ok(identity)
    }

    /// Writes the identity.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, directory: &Path) -> io::Result<()> {
        write_private(&path(directory), self)
    }

    /// The access key of a function. It is random, since whoever has it may call what the function
    /// may call.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub fn access_key(&mut self, function: &str) -> io::Result<String> {
        if let Some(key) = self.access_keys.get(function) {
            return Ok(key.clone());
        }
        let key = format!("AKIA{}", letters(32)?);
        self.access_keys.insert(function.to_owned(), key.clone());
        Ok(key)
    }

    /// The generated password of a secret, of characters of `alphabet`.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub fn password(
        &mut self,
        secret: &str,
        length: usize,
        alphabet: &[char],
    ) -> io::Result<String> {
        if let Some(password) = self.passwords.get(secret) {
            return Ok(password.clone());
        }
        let mut password = String::with_capacity(length);
        while password.len() < length {
            let byte = usize::from(random::<1>()?[0]);
            // Bytes past the last whole alphabet would favour its start.
            if byte < 256 / alphabet.len() * alphabet.len() {
                password.push(alphabet[byte % alphabet.len()]);
            }
        }
        self.passwords.insert(secret.to_owned(), password.clone());
        Ok(password)
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("identity.json")
}

/// Reads a JSON file; none when there is none.
///
/// # Errors
/// When it cannot be read or is not what it should be.
pub(crate) fn read_private<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a JSON file that only its owner can read, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_private<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    write_private_text(path, &(text + "\n"))
}

/// Writes a file that only its owner can read, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_private_text(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
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

fn letters(count: usize) -> io::Result<String> {
    let mut text = BASE32_NOPAD.encode(&random::<32>()?);
    text.truncate(count);
    Ok(text)
}

fn uuid() -> io::Result<String> {
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
    fn an_identity_stays_the_same_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = Identity::load(directory.path()).unwrap();
        let key = first.access_key("PushFunction").unwrap();
        let password = first
            .password("PosthornSecret", 43, &['a', 'b', 'c'])
            .unwrap();
        first.save(directory.path()).unwrap();

        let mut again = Identity::load(directory.path()).unwrap();
        assert_eq!(
            (&again.uuid, &again.suffix, &again.webhook_key),
            (&first.uuid, &first.suffix, &first.webhook_key)
        );
        assert_eq!(again.access_key("PushFunction").unwrap(), key);
        assert_eq!(
            again.password("PosthornSecret", 43, &['x']).unwrap(),
            password
        );
        assert_eq!(password.len(), 43);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(path(directory.path()))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_uuid_has_its_form() {
        let uuid = uuid().unwrap();
        let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
    }
}
