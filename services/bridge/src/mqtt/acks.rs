//! Acknowledgements of one session, in the order of receipt.
//!
//! Pure: told what was received and what is settled, it says what may be acknowledged. A message is acknowledged when it and all received
//! before it are settled. One `Acks` belongs to one connection to the broker and is dropped with it: packet ids mean nothing in the next.
//!
//! A broker gives a packet id to another message as soon as it has the acknowledgement, and some send a message again within one connection.
//! So a packet id that comes again while it waits is one of two things:
//!
//! | mark `redelivered` | same topic and payload | then it is |
//! |---|---|---|
//! | yes | yes | the same message: nothing new is to be done, one acknowledgement answers both |
//! | otherwise | | a new message: the older one was acknowledged in the broker's eyes, and is never acknowledged again |
use std::collections::VecDeque;

/// What became of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Take it; it is settled under this token.
    New(u64),
    /// It waits already.
    Again,
}

/// Messages of one session that are not acknowledged, in the order of receipt.
#[derive(Debug, Default)]
pub struct Acks {
    /// Token of the first in `waiting`.
    first: u64,
    waiting: VecDeque<Waiting>,
    /// Those of them that the broker waits for.
    unacknowledged: usize,
    /// Bytes of those that are not settled.
    held_bytes: u64,
}

#[derive(Debug)]
struct Waiting {
    /// `None`: nothing is to be acknowledged.
    packet_id: Option<u16>,
    /// Of topic and payload.
    fingerprint: u64,
    bytes: u32,
    settled: bool,
}

impl Acks {
    /// A message was received.
    pub fn received(&mut self, packet_id: Option<u16>, redelivered: bool, fingerprint: u64, bytes: usize) -> Received {
        if let Some(older) = packet_id.and_then(|id| self.waiting.iter_mut().rev().find(|waiting| waiting.packet_id == Some(id))) {
            if redelivered && older.fingerprint == fingerprint {
                return Received::Again;
            }
            older.packet_id = None;
            self.unacknowledged -= 1;
        }
        let token = self.first + self.waiting.len() as u64;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.held_bytes += u64::from(bytes);
        self.unacknowledged += usize::from(packet_id.is_some());
        self.waiting.push_back(Waiting { packet_id, fingerprint, bytes, settled: false });
        Received::New(token)
    }

    /// A message has its place in Kafka. Tokens that are not known, or settled before, change nothing.
    pub fn settled(&mut self, token: u64) {
        let index = token.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(waiting) = index.and_then(|index| self.waiting.get_mut(index))
            && !waiting.settled
        {
            waiting.settled = true;
            self.held_bytes -= u64::from(waiting.bytes);
        }
    }

    /// The packet id to acknowledge next; `None`: nothing is due. It stays due until [`Acks::acknowledged`].
    pub fn due(&mut self) -> Option<u16> {
        loop {
            let front = self.waiting.front()?;
            if !front.settled {
                return None;
            }
            if front.packet_id.is_some() {
                return front.packet_id;
            }
            self.pop();
        }
    }

    /// What was due is on its way to the broker.
    pub fn acknowledged(&mut self) {
        self.pop();
    }

    fn pop(&mut self) {
        if let Some(gone) = self.waiting.pop_front() {
            self.first += 1;
            self.unacknowledged -= usize::from(gone.packet_id.is_some());
        }
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Messages that the broker waits for an acknowledgement of.
    pub fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    /// Bytes of messages that are not settled.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn new(acks: &mut Acks, packet_id: u16) -> u64 {
        match acks.received(Some(packet_id), false, u64::from(packet_id), 10) {
            Received::New(token) => token,
            Received::Again => panic!("packet id {packet_id} is not new"),
        }
    }

    fn all_due(acks: &mut Acks) -> Vec<u16> {
        let mut due = Vec::new();
        while let Some(packet_id) = acks.due() {
            due.push(packet_id);
            acks.acknowledged();
        }
        due
    }

    #[test]
    fn acknowledgements_go_out_in_the_order_of_receipt() {
        let mut acks = Acks::default();
        let tokens: Vec<u64> = [7, 3, 9].into_iter().map(|id| new(&mut acks, id)).collect();
        acks.settled(tokens[2]);
        acks.settled(tokens[1]);
        assert_eq!(all_due(&mut acks), [0_u16; 0]);
        acks.settled(tokens[0]);
        assert_eq!((all_due(&mut acks), acks.len(), acks.held_bytes()), (vec![7, 3, 9], 0, 0));
    }

    #[test]
    fn what_is_due_stays_due_until_it_is_sent() {
        let mut acks = Acks::default();
        let token = new(&mut acks, 1);
        acks.settled(token);
        assert_eq!((acks.due(), acks.due()), (Some(1), Some(1)));
        acks.acknowledged();
        assert_eq!(acks.due(), None);
    }

    #[test]
    fn unknown_and_repeated_outcomes_change_nothing() {
        let mut acks = Acks::default();
        acks.settled(0);
        acks.settled(u64::MAX);
        let (first, second) = (new(&mut acks, 1), new(&mut acks, 2));
        acks.settled(first);
        acks.settled(first);
        assert_eq!(all_due(&mut acks), [1]);
        acks.settled(first);
        assert_eq!(acks.held_bytes(), 10);
        acks.settled(second);
        assert_eq!(all_due(&mut acks), [2]);
    }

    #[test]
    fn a_message_sent_again_is_one_message() {
        let mut acks = Acks::default();
        let token = new(&mut acks, 1);
        assert_eq!(acks.received(Some(1), true, 1, 10), Received::Again);
        acks.settled(token);
        assert_eq!(all_due(&mut acks), [1]);
        // Acknowledged before the broker sent it again: it is taken and acknowledged once more.
        assert!(matches!(acks.received(Some(1), true, 1, 10), Received::New(_)));
    }

    #[test]
    fn a_packet_id_in_use_again_is_acknowledged_for_the_newer_message_only() {
        let mut acks = Acks::default();
        let old = new(&mut acks, 1);
        let Received::New(newer) = acks.received(Some(1), false, 99, 10) else { panic!("another message") };
        acks.settled(old);
        assert_eq!(acks.due(), None, "the broker would take this for the newer message");
        acks.settled(newer);
        assert_eq!(all_due(&mut acks), [1]);
        // The same with the mark, if the message is another.
        let first = new(&mut acks, 2);
        let Received::New(_) = acks.received(Some(2), true, 98, 10) else { panic!("another message") };
        acks.settled(first);
        assert_eq!(acks.due(), None);
    }

    #[test]
    fn messages_without_packet_id_need_no_acknowledgement_but_keep_their_place() {
        let mut acks = Acks::default();
        let first = new(&mut acks, 1);
        let Received::New(plain) = acks.received(None, false, 0, 5) else { panic!("new") };
        let last = new(&mut acks, 2);
        for token in [plain, last, first] {
            acks.settled(token);
        }
        assert_eq!(all_due(&mut acks), [1, 2]);
        assert!(acks.is_empty() && acks.unacknowledged() == 0);
    }

    /// A broker of the test: it gives free packet ids to messages, and takes an acknowledgement for whatever message has the id then.
    #[test]
    fn random_orders_never_acknowledge_a_message_that_is_not_settled() {
        for seed in 0..200_u64 {
            let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut next = move |below: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % below
            };
            let (mut acks, mut in_use, mut unsettled) = (Acks::default(), HashMap::new(), Vec::new());
            let (mut settled, mut serial) = (std::collections::HashSet::new(), 0_u64);
            for _ in 0..400 {
                match next(4) {
                    0 | 1 => {
                        let packet_id = u16::try_from(1 + next(5)).expect("small");
                        if let Some(again) = in_use.get(&packet_id) {
                            assert_eq!(acks.received(Some(packet_id), true, *again, 1), Received::Again, "seed {seed}");
                            continue;
                        }
                        serial += 1;
                        in_use.insert(packet_id, serial);
                        let Received::New(token) = acks.received(Some(packet_id), false, serial, 1) else { panic!("seed {seed}") };
                        unsettled.push((token, serial));
                    }
                    2 if !unsettled.is_empty() => {
                        let index = usize::try_from(next(unsettled.len() as u64)).expect("small");
                        let (token, message) = unsettled.swap_remove(index);
                        acks.settled(token);
                        settled.insert(message);
                    }
                    _ => {
                        while let Some(packet_id) = acks.due() {
                            let message = in_use.remove(&packet_id).expect("an acknowledgement of what the broker sent");
                            assert!(settled.contains(&message), "seed {seed}: message {message} is not in kafka");
                            acks.acknowledged();
                        }
                    }
                }
            }
        }
    }
}
