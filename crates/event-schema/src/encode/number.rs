//! A number of JSON, read once: its text, and its value where that is exact without more work.

/// A number token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<'a> {
    /// As it stands.
    pub text: &'a str,
    negative: bool,
    /// All digits before the exponent as one number; meaningless when there are more than 19.
    mantissa: u64,
    digits: usize,
    /// Power of ten that belongs to the mantissa.
    exponent: i32,
    integer: bool,
}

/// Powers of ten that a double has exactly.
const POWERS: [f64; 23] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];
/// Integers up to here are doubles.
const MAX_EXACT: u64 = 1 << 53;
/// Digits that always fit the mantissa.
const MAX_DIGITS: usize = 19;
/// An exponent beyond it means nothing more.
const MAX_EXPONENT: i32 = 100_000;

impl<'a> Number<'a> {
    /// The number that the text starts with; `None` if it starts with none.
    #[inline]
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digit = |at: usize| bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10);
        let negative = bytes.first() == Some(&b'-');
        let first = usize::from(negative);
        let (mut at, mut mantissa) = (first, 0u64);
        while let Some(digit) = digit(at) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        let mut digits = at - first;
        if digits == 0 || (digits > 1 && bytes[first] == b'0') {
            return None;
        }
        let mut number = Self { text, negative, mantissa, digits, exponent: 0, integer: true };
        if bytes.get(at) == Some(&b'.') {
            let start = at + 1;
            at = start;
            while let Some(digit) = digit(at) {
                mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
                at += 1;
            }
            if at == start {
                return None;
            }
            digits += at - start;
            let exponent = -i32::try_from(at - start).unwrap_or(MAX_EXPONENT);
            number = Self { mantissa, digits, exponent, integer: false, ..number };
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            let sign = bytes.get(at + 1).copied();
            at += 1 + usize::from(matches!(sign, Some(b'+' | b'-')));
            let start = at;
            let mut power = 0i32;
            while let Some(digit) = digit(at) {
                power = (power * 10 + i32::from(digit)).min(MAX_EXPONENT);
                at += 1;
            }
            if at == start {
                return None;
            }
            number.exponent += if sign == Some(b'-') { -power } else { power };
            number.integer = false;
        }
        number.text = &text[..at];
        Some(number)
    }

    /// Whether it is written without a point and an exponent.
    pub(super) fn is_integer(&self) -> bool {
        self.integer
    }

    /// Its value, if it is written as an integer and is one of 64 bits.
    #[inline]
    pub(super) fn long(&self) -> Option<i64> {
        if !self.integer || self.digits > MAX_DIGITS {
            return None;
        }
        if self.negative { 0i64.checked_sub_unsigned(self.mantissa) } else { i64::try_from(self.mantissa).ok() }
    }

    /// The nearest double; infinite if the number is too large.
    #[inline]
    pub(super) fn double(&self) -> f64 {
        let power = self.exponent.unsigned_abs() as usize;
        if self.digits <= MAX_DIGITS && self.mantissa <= MAX_EXACT && power < POWERS.len() {
            // One operation on two exact numbers is rounded once, to the nearest.
            let magnitude = if self.exponent < 0 { self.mantissa as f64 / POWERS[power] } else { self.mantissa as f64 * POWERS[power] };
            return if self.negative { -magnitude } else { magnitude };
        }
        self.text.parse().expect("a number of JSON is one of Rust")
    }
}
