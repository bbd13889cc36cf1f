//! What the devices sent, against what the lake has: the sums of the summary. Pure.
use super::model::{Fleet, Kind};
use std::collections::{BTreeMap, HashMap};

/// What became of the messages of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The kind.
    pub kind: Kind,
    /// Published.
    pub sent: u64,
    /// In the lake as rows.
    pub rows: u64,
    /// Dropped when their window was sealed, in favour of an equal row.
    pub duplicates: u64,
    /// In quarantine, with the reason of the kind.
    pub quarantined: u64,
}

/// What became of all messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// One per kind.
    pub lines: Vec<Line>,
    /// Rows and refused records that nobody sent, or more of them than were sent.
    pub surplus: u64,
}

impl Account {
    /// Whether each message ended where its kind ends, once.
    pub(crate) fn agrees(&self) -> bool {
        let ended = |line: &Line| match line.kind.refused_as() {
            None => (line.rows + line.duplicates, line.quarantined) == (line.sent, 0),
            Some(_) => (line.rows, line.quarantined) == (0, line.sent),
        };
        self.surplus == 0 && self.lines.iter().all(ended)
    }

    /// Messages of all kinds.
    pub(crate) fn sent(&self) -> u64 {
        self.lines.iter().map(|line| line.sent).sum()
    }
}

/// Compares the first `sent` messages of the fleet with the rows per (device, seq), the refused records per reason, and the number of rows
/// that the log says were dropped as duplicates.
pub(crate) fn account(fleet: &Fleet, sent: usize, rows: &[(String, i64, u64)], refused: &[(String, u64)], dropped: u64) -> Account {
    let mut published: BTreeMap<Kind, u64> = BTreeMap::new();
    let mut keys: HashMap<(&str, i64), Vec<Kind>> = HashMap::new();
    for message in &fleet.messages[..sent] {
        *published.entry(message.kind).or_default() += 1;
        keys.entry((&fleet.devices[message.device], message.seq)).or_default().push(message.kind);
    }
    let mut account = Account::default();
    let mut found: BTreeMap<Kind, u64> = BTreeMap::new();
    let mut repeated = 0;
    for (device, seq, count) in rows {
        let kinds = keys.remove(&(device.as_str(), *seq)).unwrap_or_default();
        let expected = kinds.len() as u64;
        account.surplus += count.saturating_sub(expected);
        let (there, missing) = kinds.split_at(kinds.len().min(usize::try_from(*count).unwrap_or(usize::MAX)));
        there.iter().for_each(|kind| *found.entry(*kind).or_default() += 1);
        repeated += missing.iter().filter(|kind| **kind == Kind::Repeated).count() as u64;
    }
    let mut reasons: HashMap<&str, u64> = refused.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    for kind in Kind::ALL {
        let sent = published.get(&kind).copied().unwrap_or_default();
        let of_reason = kind.refused_as().and_then(|reason| reasons.remove(reason)).unwrap_or_default();
        account.surplus += of_reason.saturating_sub(sent);
        let duplicates = if kind == Kind::Repeated { repeated } else { 0 };
        let rows = found.get(&kind).copied().unwrap_or_default();
        account.lines.push(Line { kind, sent, rows, duplicates, quarantined: of_reason.min(sent) });
    }
    account.surplus += dropped.abs_diff(repeated);
    account.surplus += reasons.into_values().sum::<u64>();
    account
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> Fleet {
        Fleet::simulate(20, 1, 1_790_000_000_000)
    }

    /// Rows per (device, seq), and refused records per reason.
    type Lake = (Vec<(String, i64, u64)>, Vec<(String, u64)>);

    /// A lake that has what was sent.
    fn lake(fleet: &Fleet, sent: usize) -> Lake {
        let mut rows: BTreeMap<(usize, i64), u64> = BTreeMap::new();
        let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
        for message in &fleet.messages[..sent] {
            match message.kind.refused_as() {
                None => *rows.entry((message.device, message.seq)).or_default() += 1,
                Some(reason) => *refused.entry(reason).or_default() += 1,
            }
        }
        let rows = rows.into_iter().map(|((device, seq), count)| (fleet.devices[device].clone(), seq, count)).collect();
        (rows, refused.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect())
    }

    #[test]
    fn a_lake_that_has_it_all_agrees() {
        let fleet = fleet();
        for sent in [0, 1, fleet.messages.len() / 2, fleet.messages.len()] {
            let (rows, refused) = lake(&fleet, sent);
            let account = account(&fleet, sent, &rows, &refused, 0);
            assert!(account.agrees(), "{account:?}");
            assert_eq!(account.sent(), sent as u64);
        }
    }

    #[test]
    fn whatever_is_missing_or_too_much_is_seen() {
        let fleet = fleet();
        let sent = fleet.messages.len();
        let (rows, refused) = lake(&fleet, sent);
        let agrees = |rows: &[(String, i64, u64)], refused: &[(String, u64)]| account(&fleet, sent, rows, refused, 0).agrees();
        assert!(!agrees(&rows[1..], &refused));
        assert!(!agrees(&rows, &refused[1..]));
        let mut more = rows.clone();
        more[3].2 += 1;
        assert!(!agrees(&more, &refused), "a row that is there twice");
        let mut fewer = rows.clone();
        let twice = fewer.iter_mut().find(|row| row.2 == 2).expect("a message was repeated");
        twice.2 = 1;
        assert!(!agrees(&fewer, &refused), "a row is missing that nothing dropped");
        let account = account(&fleet, sent, &fewer, &refused, 1);
        assert!(account.agrees() && account.lines.iter().any(|line| line.duplicates == 1), "{account:?}");
        let mut unknown = rows.clone();
        unknown.push(("sensor-999".to_owned(), 1, 1));
        assert!(!agrees(&unknown, &refused));
        let mut reason = refused.clone();
        reason.push(("too_large".to_owned(), 1));
        assert!(!agrees(&rows, &reason));
        let mut swapped = refused.clone();
        swapped[0].1 -= 1;
        swapped[1].1 += 1;
        assert!(!agrees(&rows, &swapped));
    }
}
