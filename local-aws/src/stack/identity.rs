//! What a data directory keeps of itself: names, keys and the secret. All of it is made at the first
//! start, readable by its owner only, and the same ever after.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::ids::{letters, random, uuid};

/// Who the stack is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The UUID in the stack's id.
    pub(crate) uuid: String,
    /// The end of physical names, as CloudFormation makes them.
    pub(crate) suffix: String,
    /// A password for each secret that the template has generated, by logical id.
    #[serde(default)]
    pub(crate) passwords: BTreeMap<String, String>,
    /// Opens what the stack tells of itself. Data directories of earlier versions have none.
    #[serde(default)]
    pub(crate) stack_token: String,
    /// An access key for each function, by logical id: by it the AWS endpoint knows who calls.
    #[serde(default)]
    pub(crate) access_keys: BTreeMap<String, String>,
    /// What a program keeps beside it.
    #[serde(flatten)]
    pub(crate) kept: BTreeMap<String, String>,
}

impl Identity {
    /// Reads the identity of a data directory, or makes it.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(crate) fn load(directory: &Path) -> io::Result<Identity> {
        let mut identity = match files::read_json(directory, files::IDENTITY)? {
            Some(identity) => identity,
            None => Identity {
                uuid: uuid()?,
                suffix: letters(12)?,
                passwords: BTreeMap::new(),
                stack_token: String::new(),
                access_keys: BTreeMap::new(),
                kept: BTreeMap::new(),
            },
        };
        if identity.stack_token.is_empty() {
            identity.stack_token = BASE64URL_NOPAD.encode(&random::<24>()?);
        }
        Ok(identity)
    }

    /// Writes the identity.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn save(&self, directory: &Path) -> io::Result<()> {
        files::write_json(directory, files::IDENTITY, self)
    }

    /// The access key of a function. It is random, since whoever has it may call what the function
    /// may call.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub(crate) fn access_key(&mut self, function: &str) -> io::Result<String> {
        if let Some(key) = self.access_keys.get(function) {
            return Ok(key.clone());
        }
        let key = format!("AKIA{}", letters(32)?);
        self.access_keys.insert(function.to_owned(), key.clone());
        Ok(key)
    }

    /// What a program keeps under a name, or has made now.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn keep(
        &mut self,
        name: &str,
        make: impl FnOnce() -> io::Result<String>,
    ) -> io::Result<String> {
        if let Some(kept) = self.kept.get(name) {
            return Ok(kept.clone());
        }
        let made = make()?;
        self.kept.insert(name.to_owned(), made.clone());
        Ok(made)
    }

    /// The generated password of a secret, of characters of `alphabet`.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub(crate) fn password(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_stays_the_same_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = Identity::load(directory.path()).unwrap();
        let key = first.access_key("ReaderFunction").unwrap();
        let password = first
            .password("ReaderSecret", 43, &['a', 'b', 'c'])
            .unwrap();
        let kept = first.keep("own_key", || Ok("abc".to_owned())).unwrap();
        first.save(directory.path()).unwrap();

        let mut again = Identity::load(directory.path()).unwrap();
        assert_eq!(
            (&again.uuid, &again.suffix, &again.kept),
            (&first.uuid, &first.suffix, &first.kept)
        );
        assert_eq!(
            (again.stack_token.len(), &again.stack_token),
            (32, &first.stack_token)
        );
        assert_eq!(again.access_key("ReaderFunction").unwrap(), key);
        assert_eq!(
            again.password("ReaderSecret", 43, &['x']).unwrap(),
            password
        );
        assert_eq!(password.len(), 43);
        assert_eq!(again.keep("own_key", || Ok("x".to_owned())).unwrap(), kept);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(directory.path().join(files::IDENTITY))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
