//! The secrets with which an endpoint's deliveries are signed.

use crate::signing::SigningSecret;
use crate::time::Millis;

/// The most old secrets that still sign. Each makes the header of a delivery 48 bytes longer.
pub const MAX_RETIRING: usize = 10;

/// A signing secret and since when it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatedSecret {
    /// The secret.
    pub secret: SigningSecret,
    /// When it was made.
    pub created_at: Millis,
    /// When it signs no more; none while it is the current one.
    pub expires_at: Option<Millis>,
}

/// The current secret, and those before it that receivers may still have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The newest first, which is the current one; the others expire. Never empty.
    all: Vec<DatedSecret>,
}

/// There are [`MAX_RETIRING`] old secrets that have not expired. Without an overlap there can
/// always be a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_RETIRING} old secrets still sign; wait, or rotate without an overlap")]
pub struct TooManySecrets;

impl Secrets {
    /// One secret.
    #[must_use]
    pub fn new(secret: SigningSecret, now: Millis) -> Secrets {
        Secrets {
            all: vec![DatedSecret {
                secret,
                created_at: now,
                expires_at: None,
            }],
        }
    }

    /// Those that were stored, the current one first; none if there is no current one.
    #[must_use]
    pub fn stored(all: Vec<DatedSecret>) -> Option<Secrets> {
        let is_current = |secret: &DatedSecret| secret.expires_at.is_none();
        all.first()
            .is_some_and(is_current)
            .then_some(Secrets { all })
    }

    /// Makes another secret the current one. All those before it sign for `overlap_ms` more at most,
    /// and none for longer than it was to: an overlap of 0 leaves the new one alone, as after a leak.
    ///
    /// # Errors
    /// When too many old ones would sign.
    pub fn rotate(
        &mut self,
        secret: SigningSecret,
        overlap_ms: u64,
        now: Millis,
    ) -> Result<(), TooManySecrets> {
        let mut all = self.all.clone();
        let end = now.plus(overlap_ms);
        for old in &mut all {
            old.expires_at = Some(old.expires_at.map_or(end, |at| at.min(end)));
        }
        all.retain(|old| old.expires_at.is_some_and(|at| at > now));
        if all.len() > MAX_RETIRING {
            return Err(TooManySecrets);
        }
        self.all = Secrets::new(secret, now).all;
        self.all.append(&mut all);
        Ok(())
    }

    /// Those that sign now, the newest first. At least the current one.
    pub fn signing(&self, now: Millis) -> impl Iterator<Item = &SigningSecret> {
        self.dated(now).map(|dated| &dated.secret)
    }

    /// Those that sign now with their times, the newest first.
    pub fn dated(&self, now: Millis) -> impl Iterator<Item = &DatedSecret> {
        let is_live = move |old: &&DatedSecret| old.expires_at.is_none_or(|at| at > now);
        self.all.iter().filter(is_live)
    }

    /// All that are kept, expired ones too: for whoever stores them.
    #[must_use]
    pub fn all(&self) -> &[DatedSecret] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn secret(n: u8) -> SigningSecret {
        SigningSecret::generate([n; 32])
    }

    #[test]
    fn the_old_secret_signs_until_its_overlap_ends() {
        let mut secrets = Secrets::new(secret(1), Millis(0));
        secrets.rotate(secret(2), HOUR, Millis(10)).unwrap();
        let at = |now: u64| secrets.signing(Millis(now)).cloned().collect::<Vec<_>>();
        assert_eq!(at(10 + HOUR - 1), [secret(2), secret(1)]);
        assert_eq!(at(10 + HOUR), [secret(2)]);
    }

    #[test]
    fn without_an_overlap_the_old_secret_is_gone() {
        let mut secrets = Secrets::new(secret(1), Millis(0));
        secrets.rotate(secret(2), 0, Millis(10)).unwrap();
        assert_eq!(secrets.all().len(), 1);
    }

    #[test]
    fn a_rotation_without_an_overlap_ends_earlier_overlaps_too() {
        let mut secrets = Secrets::new(secret(1), Millis(0));
        secrets.rotate(secret(2), 24 * HOUR, Millis(10)).unwrap();
        secrets.rotate(secret(3), 24 * HOUR, Millis(20)).unwrap();
        secrets.rotate(secret(4), 0, Millis(30)).unwrap();
        let signing: Vec<_> = secrets.signing(Millis(30)).cloned().collect();
        assert_eq!(signing, [secret(4)]);
        assert_eq!(secrets.all().len(), 1);
    }

    #[test]
    fn no_old_secret_signs_for_longer_than_the_newest_overlap() {
        let mut secrets = Secrets::new(secret(1), Millis(0));
        secrets.rotate(secret(2), 24 * HOUR, Millis(0)).unwrap();
        secrets.rotate(secret(3), HOUR, Millis(0)).unwrap();
        let at = |now: u64| secrets.signing(Millis(now)).cloned().collect::<Vec<_>>();
        assert_eq!(at(HOUR - 1), [secret(3), secret(2), secret(1)]);
        assert_eq!(at(HOUR), [secret(3)]);
    }

    #[test]
    fn a_longer_overlap_does_not_prolong_an_earlier_one() {
        let mut secrets = Secrets::new(secret(1), Millis(0));
        secrets.rotate(secret(2), HOUR, Millis(0)).unwrap();
        secrets.rotate(secret(3), 24 * HOUR, Millis(0)).unwrap();
        let at = |now: u64| secrets.signing(Millis(now)).cloned().collect::<Vec<_>>();
        assert_eq!(at(HOUR), [secret(3), secret(2)]);
        assert_eq!(at(24 * HOUR), [secret(3)]);
    }

    #[test]
    fn ten_old_secrets_sign_at_most() {
        let mut secrets = Secrets::new(secret(0), Millis(0));
        for n in 1..=10 {
            secrets.rotate(secret(n), HOUR, Millis(1)).unwrap();
        }
        let before = secrets.clone();
        assert_eq!(
            secrets.rotate(secret(11), HOUR, Millis(1)),
            Err(TooManySecrets)
        );
        assert_eq!(secrets, before);
        assert_eq!(secrets.rotate(secret(11), 0, Millis(1)), Ok(()));
        assert_eq!(secrets.signing(Millis(1)).count(), 1);
        assert_eq!(secrets.rotate(secret(12), HOUR, Millis(1 + HOUR)), Ok(()));
        assert_eq!(secrets.all().len(), 2);
    }

    proptest! {
        #[test]
        fn the_newest_secret_always_signs(steps in proptest::collection::vec((0..10u64, 0..5u64), 0..30)) {
            let mut secrets = Secrets::new(secret(0), Millis(0));
            let (mut now, mut newest) = (Millis(0), secret(0));
            for (n, (pass, overlap)) in steps.into_iter().enumerate() {
                now = now.plus(pass);
                let next = secret(u8::try_from(n).unwrap() + 1);
                if secrets.rotate(next.clone(), overlap, now).is_ok() {
                    newest = next;
                }
                prop_assert_eq!(secrets.signing(now).next(), Some(&newest));
                prop_assert!(secrets.signing(now).count() <= MAX_RETIRING + 1);
                prop_assert!(Secrets::stored(secrets.all().to_vec()).is_some());
            }
        }
    }
}
