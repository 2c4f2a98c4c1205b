//! What the holder of a token may do, and what they may see.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::event::{Content, Event};
use crate::filter::Filter;
use crate::time::Millis;

/// Something that a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// To read events, live or later.
    Read,
    /// To publish events.
    Write,
    /// To subscribe endpoints, and to see what is owed to them.
    Endpoints,
}

impl Scope {
    const ALL: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Endpoints];

    /// Its word in a token.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Endpoints => "endpoints",
        }
    }
}

/// A set of scopes. Its text is the words of the scopes with spaces between them, as in the claim
/// `scope` of RFC 8693, section 4.2; commas are read as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes([bool; Scope::ALL.len()]);

impl Scopes {
    /// These.
    #[must_use]
    pub fn of(scopes: &[Scope]) -> Scopes {
        let mut set = Scopes::default();
        for scope in scopes {
            set.0[*scope as usize] = true;
        }
        set
    }

    /// Every scope that there is.
    #[must_use]
    pub fn all() -> Scopes {
        Scopes::of(&Scope::ALL)
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0[scope as usize]
    }
}

/// A word that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope; allowed are `read`, `write` and `endpoints`")]
pub struct UnknownScope;

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Scopes, UnknownScope> {
        let mut set = Scopes::default();
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        for word in words {
            let scope = Scope::ALL.into_iter().find(|scope| scope.name() == word);
            set.0[scope.ok_or(UnknownScope)? as usize] = true;
        }
        Ok(set)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = Scope::ALL.into_iter().filter(|scope| self.has(*scope));
        for (index, scope) in held.enumerate() {
            let space = if index > 0 { " " } else { "" };
            write!(f, "{space}{}", scope.name())?;
        }
        Ok(())
    }
}

/// What a token, or the ticket and the connection made with it, allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// What may be done.
    pub scopes: Scopes,
    /// Which events may be seen; the holder can only narrow it.
    pub filter: Filter,
    /// To what a masked holder has narrowed it, in a ticket; empty otherwise.
    pub asked: Filter,
    /// Whether people are to be unrecognisable in what is seen.
    pub mask: bool,
    /// When all of it ends.
    pub until: Millis,
}

/// A masked holder asked for events by something that is hidden from them: the answer would tell
/// it. Names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("masked tokens may not filter by `{0}`")]
pub struct PrivateField(pub &'static str);

impl Rights {
    /// Whether this may be done. A holder who may not see every event as it is gets nothing of
    /// endpoints, which are sent whole events.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        let sees_everything = self.filter.is_empty() && self.asked.is_empty() && !self.mask;
        self.scopes.has(scope) && (scope != Scope::Endpoints || sees_everything)
    }

    /// Whether they have not ended.
    #[must_use]
    pub fn hold(&self, now: Millis) -> bool {
        now < self.until
    }

    /// Whether the holder may see this event.
    #[must_use]
    pub fn sees(&self, content: &Content<'_>) -> bool {
        self.filter.matches(content)
            && (self.asked.is_empty() || self.asked.matches(&content.masked()))
    }

    /// An event as the holder may see it, if they may.
    #[must_use]
    pub fn show<'e>(&self, event: &'e Event<'_>) -> Cow<'e, Event<'e>> {
        if self.mask {
            Cow::Owned(event.masked())
        } else {
            Cow::Borrowed(event)
        }
    }

    /// What the holder asked for, of what they may see.
    ///
    /// # Errors
    /// When a masked holder asks by a field that is hidden from them.
    pub fn narrow(&self, asked: &Filter) -> Result<View, PrivateField> {
        match asked.private_field() {
            Some(field) if self.mask => Err(PrivateField(field)),
            _ if self.mask => Ok(View {
                allowed: self.filter.clone(),
                asked: self.asked.and(asked),
            }),
            _ => Ok(View {
                allowed: self.filter.and(asked),
                asked: Filter::default(),
            }),
        }
    }
}

/// Which events somebody gets, of those that they may see.
///
/// What a masked holder asks for is looked for in the events as they see them: a tag with an
/// address in it would be told by which filters it passes, letter by letter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// By the events as they are.
    pub allowed: Filter,
    /// By the events as they are masked.
    pub asked: Filter,
}

impl View {
    /// Whether it lets everything pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.asked.is_empty()
    }

    /// Whether it lets this event pass.
    #[must_use]
    pub fn matches(&self, content: &Content<'_>) -> bool {
        self.allowed.matches(content)
            && (self.asked.is_empty() || self.asked.matches(&content.masked()))
    }

    /// The same within bounds, as [`Filter::matches_within`]. `masked` is the event as it is masked,
    /// asked for only if that is looked at; none when masking it would cost too much.
    #[must_use]
    pub fn matches_within<'m>(
        &self,
        content: &Content<'_>,
        masked: impl FnOnce() -> Option<&'m Content<'m>>,
        left: &mut usize,
    ) -> Option<bool> {
        let passes = self.allowed.matches_within(content, left)?;
        if !passes || self.asked.is_empty() {
            return Some(passes);
        }
        self.asked.matches_within(masked()?, left)
    }

    /// How many values it looks for in each event.
    #[must_use]
    pub fn values(&self) -> usize {
        self.allowed.values() + self.asked.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Source;

    fn rights(filter: &str, mask: bool) -> Rights {
        Rights {
            scopes: Scopes::all(),
            filter: filter.parse().unwrap(),
            asked: Filter::default(),
            mask,
            until: Millis(1_000),
        }
    }

    #[test]
    fn scopes_are_words_with_spaces_or_commas() {
        let scopes: Scopes = "write,read".parse().unwrap();
        assert_eq!(scopes.to_string(), "read write");
        assert!(scopes.has(Scope::Read) && !scopes.has(Scope::Endpoints));
        assert_eq!("".parse(), Ok(Scopes::default()));
        assert_eq!("read admin".parse::<Scopes>(), Err(UnknownScope));
        assert_eq!(Scopes::all().to_string(), "read write endpoints");
    }

    #[test]
    fn who_does_not_see_everything_gets_no_endpoints() {
        assert!(rights("", false).allows(Scope::Endpoints));
        assert!(!rights("type:open", false).allows(Scope::Endpoints));
        assert!(!rights("", true).allows(Scope::Endpoints));
        assert!(rights("type:open", true).allows(Scope::Write));
    }

    #[test]
    fn a_holder_cannot_widen_what_they_may_see() {
        let narrowed = |asked: &str| {
            let filter: Filter = asked.parse().unwrap();
            rights("type:open,click", false).narrow(&filter).unwrap()
        };
        let matches = |asked: &str, kind: &str| {
            narrowed(asked).matches(&Content::new(kind, Source::Mandrill))
        };
        assert!(matches("", "open") && !matches("", "send"));
        assert!(matches("type:open", "open") && !matches("type:open", "click"));
        for asked in ["type:send", "type:*", "-type:open", "type:send,open"] {
            assert!(!matches(asked, "send"), "{asked}");
        }
    }

    #[test]
    fn a_masked_holder_finds_nothing_by_what_is_masked() {
        let mut content = Content::new("open", Source::Mandrill);
        content.tags = vec!["anna@example.net".into(), "welcome".into()];
        let finds = |rights: &Rights, asked: &str| {
            let asked: Filter = asked.parse().unwrap();
            rights.narrow(&asked).unwrap().matches(&content)
        };
        let (masked, plain) = (rights("tag:anna@*", true), rights("tag:anna@*", false));
        assert!(finds(&masked, "") && finds(&masked, "tag:welcome"));
        assert!(finds(&masked, "tag:*@example.net"));
        for probing in ["tag:a*", "tag:anna@example.net", "-tag:\"***@\"*"] {
            assert!(!finds(&masked, probing), "{probing}");
        }
        assert!(finds(&plain, "tag:a*"));
        // Nor by a ticket that was asked for so.
        let ticket = Rights {
            asked: "tag:a*".parse().unwrap(),
            ..masked
        };
        assert!(!ticket.sees(&content) && !finds(&ticket, ""));
    }

    #[test]
    fn an_event_is_masked_only_when_a_filter_looks_at_it_masked() {
        let content = Content::new("open", Source::Mandrill);
        let asked = "tag:x".parse().unwrap();
        let narrowed = |mask| rights("type:open", mask).narrow(&asked).unwrap();
        let mut left = 1_000;
        let never = || unreachable!();
        assert_eq!(
            narrowed(false).matches_within(&content, never, &mut left),
            Some(false)
        );
        assert_eq!(
            narrowed(true).matches_within(&content, || None, &mut left),
            None
        );
        let other = Content::new("click", Source::Mandrill);
        assert_eq!(
            narrowed(true).matches_within(&other, never, &mut left),
            Some(false)
        );
        assert_eq!(narrowed(true).values(), 2);
    }

    #[test]
    fn rights_end_at_their_moment() {
        let rights = rights("", false);
        assert!(rights.hold(Millis(999)) && !rights.hold(Millis(1_000)));
    }
}
