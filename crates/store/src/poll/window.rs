//! What of the feed's newest part was looked at.

use std::collections::BTreeSet;

use domain::cursor::{CLOCK_SKEW_MS, Digest, LOOK_BACK_MS};
use domain::{Cursor, CursorKind, Millis, Position};

/// Up to where the feed was looked at, and what exactly of its end, which is not settled yet.
#[derive(Debug)]
pub(super) struct Window {
    /// The furthest position that was looked at.
    reached: Position,
    /// What was stored before it is settled: up to `reached`, all of it was looked at.
    floor: Millis,
    /// The positions from `floor` on that were looked at.
    seen: BTreeSet<Position>,
    /// What is said to have been looked at from `floor` to `reached`, until it was compared.
    claim: Option<Digest>,
}

impl Window {
    /// What a client with this cursor has looked at.
    pub(super) fn of(cursor: Cursor, late_since: Option<Millis>) -> Window {
        let at = cursor.position.received_at;
        let (reached, floor, claim) = match cursor.kind {
            CursorKind::Polled {
                window_ms: 0,
                digest: _,
            } => (cursor.position, at.plus(1), None),
            CursorKind::Polled { window_ms, digest } => {
                let floor = at.plus(1).minus(u64::from(window_ms));
                (cursor.position, floor, Some(digest))
            }
            CursorKind::Seen | CursorKind::Replayed { .. } => {
                let floor = at.minus(LOOK_BACK_MS);
                let floor = late_since.map_or(floor, |late| late.min(floor));
                (Position::start_of(floor), floor, None)
            }
        };
        Window {
            reached,
            floor,
            seen: BTreeSet::new(),
            claim,
        }
    }

    /// The cursor of a client that was given everything so far.
    pub(super) fn cursor(&self) -> Cursor {
        let (window_ms, digest) = match self.reached.received_at.0.checked_sub(self.floor.0) {
            Some(before) => (
                u32::try_from(before + 1).unwrap_or(u32::MAX),
                self.claim
                    .unwrap_or_else(|| self.seen.iter().copied().collect()),
            ),
            None => (0, Digest::default()),
        };
        Cursor {
            position: self.reached,
            kind: CursorKind::Polled { window_ms, digest },
        }
    }

    /// After which position the next read begins.
    pub(super) fn start(&self) -> Position {
        self.reached.min(Position::start_of(self.floor))
    }

    /// Up to where the feed has to be read before anything else, to be compared with what is said
    /// to have been looked at.
    pub(super) fn to_compare(&self) -> Option<Position> {
        self.claim.map(|_| self.reached)
    }

    /// Compares what the feed holds from [`Window::start`] on with what is said to have been looked
    /// at: all of it up to `reached`, or nothing.
    pub(super) fn compare(&mut self, feed: &[Position]) {
        let feed = feed.iter().copied();
        let seen: BTreeSet<_> = feed.take_while(|at| *at <= self.reached).collect();
        if self.claim.take() == Some(seen.iter().copied().collect()) {
            self.seen = seen;
        } else {
            self.reached = Position::start_of(self.floor);
        }
    }

    /// Those that were not looked at yet.
    pub(super) fn new_among(&self, positions: &[Position]) -> Vec<Position> {
        let positions = positions.iter().copied();
        positions.filter(|at| !self.seen.contains(at)).collect()
    }

    /// This one was looked at, and before it everything that the read has come across.
    pub(super) fn add(&mut self, position: Position) {
        self.seen.insert(position);
        self.reached = self.reached.max(position);
    }

    /// Begins anew a little before `now` when the clock is behind what counts as settled, since what
    /// is stored from now on would be taken for settled as well: the clock was set back, or that of
    /// the environment before is ahead. What lies between is given again. A reader that has not
    /// caught up goes on from where it is, which may be before that.
    pub(super) fn rewind(&mut self, now: Millis) {
        if now < self.floor {
            self.floor = now.minus(LOOK_BACK_MS);
            self.reached = self.reached.min(Position::start_of(self.floor));
            self.seen.clear();
            self.claim = None;
        }
    }

    /// Forgets what is settled. The feed was read at `now`, up to its end, or only up to `stop`.
    ///
    /// The feed's own time counts where there is one: a clock that is ahead would settle what is
    /// still to be stored.
    pub(super) fn settle(&mut self, now: Millis, stop: Option<Position>) {
        let present = self.reached.received_at.min(now);
        let settled = present.max(now.minus(CLOCK_SKEW_MS)).minus(LOOK_BACK_MS);
        let floor = match stop {
            None => {
                // A quiet feed is not read from its last event each time, which may be days ago.
                self.reached = self.reached.max(Position::start_of(settled));
                settled
            }
            // What is between the two has appeared, and was not looked at.
            Some(stop) if stop < self.reached => settled.min(stop.received_at),
            Some(_) => settled,
        };
        self.floor = self.floor.max(floor);
        self.seen = self.seen.split_off(&Position::start_of(self.floor));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::{EventId, Feed};
    use proptest::prelude::*;

    use super::*;

    const START: u64 = 1_795_300_000_000;

    /// An event of a made-up feed: when it was stored, and how much later it can be seen.
    #[derive(Debug, Clone)]
    struct Stored {
        at: u64,
        lag: u64,
    }

    /// A poll: how much later than the last, how many events it takes, and what its client does
    /// next.
    #[derive(Debug, Clone)]
    struct Poll {
        after: u64,
        limit: usize,
        next: Next,
    }

    #[derive(Debug, Clone)]
    enum Next {
        /// The same invocation reads on.
        Follow,
        /// Another invocation, with the cursor.
        Return,
        /// The answer is lost.
        Again,
    }

    fn stored(lag: impl Strategy<Value = u64>) -> impl Strategy<Value = Vec<Stored>> {
        let stored = (0..60_000u64, lag).prop_map(|(at, lag)| Stored { at, lag });
        prop::collection::vec(stored, 0..60)
    }

    fn polls() -> impl Strategy<Value = Vec<Poll>> {
        let next = prop_oneof![Just(Next::Follow), Just(Next::Return), Just(Next::Again)];
        let poll = (0..6_000u64, 1..10usize, next);
        let poll = poll.prop_map(|(after, limit, next)| Poll { after, limit, next });
        prop::collection::vec(poll, 0..40)
    }

    fn position(index: usize, stored: &Stored) -> Position {
        Position {
            received_at: Millis(START + stored.at),
            id: EventId::of_content(&[b"m"], 1, &[&index.to_be_bytes()], 0),
        }
    }

    /// What `Follow::read` does, on the made-up feed, by a clock that may be wrong.
    fn read_by(
        clock: u64,
        window: &mut Window,
        feed: &[(Position, u64)],
        now: u64,
        limit: usize,
    ) -> Vec<Position> {
        let visible = feed
            .iter()
            .filter(|(at, lag)| at.received_at.0 + lag <= now);
        window.rewind(Millis(clock));
        let mut ready: Vec<_> = visible.map(|(at, _)| *at).collect();
        ready.retain(|at| *at > window.start());
        if window.to_compare().is_some() {
            window.compare(&ready);
        }
        let mut given = Vec::new();
        for position in window.new_among(&ready) {
            if given.len() == limit {
                window.settle(Millis(clock), Some(position));
                return given;
            }
            window.add(position);
            given.push(position);
        }
        window.settle(Millis(clock), None);
        given
    }

    fn read(
        window: &mut Window,
        feed: &[(Position, u64)],
        now: u64,
        limit: usize,
    ) -> Vec<Position> {
        read_by(now, window, feed, now, limit)
    }

    fn returned(window: &Window, kind: Option<CursorKind>) -> Window {
        let feed = Feed::new("one");
        let mut cursor = window.cursor();
        cursor.kind = kind.unwrap_or(cursor.kind);
        Window::of(feed.decode(&feed.encode(cursor)).unwrap(), None)
    }

    /// How often each event was given, when everything could be seen at last.
    fn follow(stored: &[Stored], polls: &[Poll]) -> BTreeMap<Position, usize> {
        follow_by(|now| now, stored, polls)
    }

    fn follow_by(
        mut clock: impl FnMut(u64) -> u64,
        stored: &[Stored],
        polls: &[Poll],
    ) -> BTreeMap<Position, usize> {
        let events = stored.iter().enumerate();
        let mut feed: Vec<_> = events
            .map(|(index, it)| (position(index, it), it.lag))
            .collect();
        feed.sort();
        let mut given: BTreeMap<_, _> = feed.iter().map(|(at, _)| (*at, 0)).collect();
        let begin = Cursor {
            position: Position::start_of(Millis(START - 1)),
            kind: CursorKind::Seen,
        };
        let mut window = Window::of(begin, None);
        let mut now = START;
        for Poll { after, limit, next } in polls {
            now += after;
            let before = returned(&window, None);
            for position in read_by(clock(now), &mut window, &feed, now, *limit) {
                *given.get_mut(&position).unwrap() += usize::from(!matches!(next, Next::Again));
            }
            match next {
                Next::Follow => {}
                Next::Return => window = returned(&window, None),
                Next::Again => window = before,
            }
        }
        // In the end one reader answers: two whose clocks are far apart begin anew by turns.
        let end = now + 100_000;
        let last = clock(end);
        let rest = (0..100).flat_map(|_| read_by(last, &mut window, &feed, end, 10));
        for position in rest {
            *given.get_mut(&position).unwrap() += 1;
        }
        given
    }

    proptest! {
        #[test]
        fn every_event_is_given_although_the_index_lags(stored in stored(0..=LOOK_BACK_MS), polls in polls()) {
            let given = follow(&stored, &polls);
            prop_assert!(given.values().all(|times| *times >= 1), "{given:?}");
        }

        #[test]
        fn every_event_is_given_whatever_the_clocks_of_the_readers_say(
            stored in stored(0..=LOOK_BACK_MS),
            polls in polls(),
            clocks in prop::collection::vec(0..=2 * CLOCK_SKEW_MS, 1..5),
        ) {
            let mut clocks = clocks.iter().cycle();
            let clock = |now: u64| now + clocks.next().unwrap() - CLOCK_SKEW_MS;
            let given = follow_by(clock, &stored, &polls);
            prop_assert!(given.values().all(|times| *times >= 1), "{given:?}");
        }

        #[test]
        fn no_event_is_given_twice_when_nothing_lags(stored in stored(Just(0)), polls in polls()) {
            let given = follow(&stored, &polls);
            prop_assert!(given.values().all(|times| *times == 1), "{given:?}");
        }

        #[test]
        fn who_follows_in_one_go_is_given_each_event_once_whatever_lags(stored in stored(0..=LOOK_BACK_MS), polls in polls()) {
            let follows = |poll: &Poll| Poll { next: Next::Follow, ..poll.clone() };
            let given = follow(&stored, &polls.iter().map(follows).collect::<Vec<_>>());
            prop_assert!(given.values().all(|times| *times == 1), "{given:?}");
        }
    }

    #[test]
    fn a_cursor_of_a_pushed_event_looks_back_and_further_when_pushes_were_late() {
        let cursor = Cursor {
            position: Position::start_of(Millis(START)),
            kind: CursorKind::Seen,
        };
        let start = Window::of(cursor, None).start();
        assert_eq!(start, Position::start_of(Millis(START - LOOK_BACK_MS)));
        let start = Window::of(cursor, Some(Millis(START - 90_000))).start();
        assert_eq!(start, Position::start_of(Millis(START - 90_000)));
    }

    #[test]
    fn a_quiet_feed_is_not_read_from_its_last_event() {
        let cursor = Cursor {
            position: Position::start_of(Millis(START)),
            kind: CursorKind::Seen,
        };
        let mut window = Window::of(cursor, None);
        let days = 5 * 24 * 60 * 60 * 1_000;
        read(&mut window, &[], START + days, 10);
        // And no clock of the next reader may make it miss what comes.
        let settled = START + days - CLOCK_SKEW_MS - LOOK_BACK_MS;
        let settled = Position::start_of(Millis(settled));
        assert_eq!(returned(&window, None).start(), settled);
    }

    #[test]
    fn a_reader_that_has_not_caught_up_skips_nothing_when_its_clock_is_set_back() {
        let stored = [Stored { at: 0, lag: 0 }, Stored { at: 0, lag: 0 }];
        let events = stored.iter().enumerate();
        let mut feed: Vec<_> = events.map(|(index, it)| (position(index, it), 0)).collect();
        feed.sort();
        let begin = Cursor {
            position: Position::start_of(Millis(START - 1)),
            kind: CursorKind::Seen,
        };
        let mut window = Window::of(begin, None);
        let now = START + 200_000;
        // A clock that is ahead takes the time of both for settled.
        let ahead = now + CLOCK_SKEW_MS;
        let first = read_by(ahead, &mut window, &feed, now, 1);
        let rest = read_by(now - CLOCK_SKEW_MS / 4, &mut window, &feed, now, 10);
        assert_eq!(
            (&first[..], &rest[..]),
            (&[feed[0].0][..], &[feed[1].0][..])
        );
    }

    #[test]
    fn a_reader_whose_clock_is_set_back_by_an_hour_misses_nothing() {
        let before = [(
            position(
                0,
                &Stored {
                    at: 3_600_000,
                    lag: 0,
                },
            ),
            0,
        )];
        let mut window = Window::of(
            Cursor {
                position: Position::start_of(Millis(START + 3_600_000)),
                kind: CursorKind::Seen,
            },
            None,
        );
        assert_eq!(read(&mut window, &before, START + 3_600_001, 10).len(), 1);
        let after = position(1, &Stored { at: 500, lag: 0 });
        let feed = [(after, 0), before[0]];
        // What was stored before is visible still.
        let found = read_by(START + 600, &mut window, &feed, START + 4_000_000, 10);
        assert!(found.contains(&after), "{found:?}");
        let again = read_by(START + 700, &mut window, &feed, START + 4_000_000, 10);
        assert!(again.is_empty(), "{again:?}");
    }
}
