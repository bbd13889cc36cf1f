//! NDJSON: documents one a line, cut out of a body as its pieces arrive. Pure.

/// Cuts lines; only a line that crosses two pieces is copied.
#[derive(Debug, Default)]
pub struct Lines {
    /// Beginning of a line whose end has not come.
    begun: Vec<u8>,
}

impl Lines {
    /// Gives each line that ends in this piece to `take`, without its end; lines of white space are left out.
    ///
    /// # Errors
    /// Those of `take`; the rest is dropped then.
    pub fn push<E>(&mut self, mut piece: &[u8], mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if !self.begun.is_empty() {
            let Some(end) = end_of_line(piece) else {
                self.begun.extend_from_slice(piece);
                return Ok(());
            };
            self.begun.extend_from_slice(&piece[..end]);
            piece = &piece[end + 1..];
            let line = std::mem::take(&mut self.begun);
            give(&line, &mut take)?;
            // Its room serves the next line that crosses.
            self.begun = line;
            self.begun.clear();
        }
        while let Some(end) = end_of_line(piece) {
            give(&piece[..end], &mut take)?;
            piece = &piece[end + 1..];
        }
        self.begun.extend_from_slice(piece);
        Ok(())
    }

    /// The last line, if it has no end.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn finish<E>(self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        give(&self.begun, &mut take)
    }
}

fn give<E>(line: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let line = line.trim_ascii();
    if line.is_empty() { Ok(()) } else { take(line) }
}

/// Looks at eight bytes at a time: lines have a hundred bytes and more.
fn end_of_line(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    const NEW_LINES: u64 = ONES * b'\n' as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let differences = u64::from_le_bytes(*word) ^ NEW_LINES;
        let zeros = differences.wrapping_sub(ONES) & !differences & HIGHS;
        if zeros != 0 {
            // The lowest mark is exact; those above it may be carries.
            return Some(number * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let passed = words.len() * 8;
    rest.iter().position(|byte| *byte == b'\n').map(|at| passed + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let mut found = Vec::new();
        let mut take = |line: &[u8]| -> Result<(), ()> {
            found.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        };
        let mut lines = Lines::default();
        for piece in pieces {
            lines.push(piece, &mut take).expect("taken");
        }
        lines.finish(&mut take).expect("taken");
        found
    }

    #[test]
    fn lines_do_not_depend_on_how_the_body_is_cut() {
        let body = b"{\"a\":1}\n\r\n  {\"a\": \"long enough to be more than a word\"} \r\n\n{\"a\":3}\n \t\n{\"last\":true}";
        let expected = ["{\"a\":1}", "{\"a\": \"long enough to be more than a word\"}", "{\"a\":3}", "{\"last\":true}"];
        assert_eq!(cut(&[body]), expected);
        for first in 0..body.len() {
            for second in first..body.len() {
                assert_eq!(cut(&[&body[..first], &body[first..second], &body[second..]]), expected, "{first}, {second}");
            }
        }
        assert_eq!(cut(&body.chunks(1).collect::<Vec<_>>()), expected);
        assert!(cut(&[]).is_empty() && cut(&[b"\n\n"]).is_empty());
    }

    #[test]
    fn the_end_is_found_wherever_it_is() {
        for filler in [0x00, 0x09, 0x0b, 0x8a, 0xff, b'x'] {
            for length in 0..40 {
                let mut bytes = vec![filler; length];
                assert_eq!(end_of_line(&bytes), None);
                for at in 0..length {
                    bytes[at] = b'\n';
                    assert_eq!(end_of_line(&bytes), Some(at), "{filler} {length}");
                    bytes[length - 1] = b'\n';
                    assert_eq!(end_of_line(&bytes), Some(at), "the first counts");
                    bytes.fill(filler);
                }
            }
        }
    }

    #[test]
    fn a_stop_ends_the_cutting() {
        let mut taken = 0;
        let stopped = Lines::default().push(b"1\n2\n3\n", |_| {
            taken += 1;
            if taken == 2 { Err("stop") } else { Ok(()) }
        });
        assert_eq!((stopped, taken), (Err("stop"), 2));
    }
}
