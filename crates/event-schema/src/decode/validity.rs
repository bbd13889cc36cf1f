//! Which values of a column are null.
use arrow::{array::BooleanBufferBuilder, buffer::NullBuffer};

/// Validity of a column's values. As long as none is null it is nothing at all, and a value costs no more than to see that.
#[derive(Debug, Default)]
pub(super) struct Validity {
    bits: Option<BooleanBufferBuilder>,
}

impl Validity {
    /// The next value is not null.
    #[inline(always)]
    pub(super) fn push_valid(&mut self) {
        if let Some(bits) = &mut self.bits {
            bits.append(true);
        }
    }

    /// The next value is null; `before` values came before it.
    pub(super) fn push_null(&mut self, before: usize) {
        let all_valid = || {
            let mut bits = BooleanBufferBuilder::new(before + 1);
            bits.append_n(before, true);
            bits
        };
        self.bits.get_or_insert_with(all_valid).append(false);
    }

    /// Whether the first value is not null.
    pub(super) fn starts_valid(&self) -> bool {
        self.bits.as_ref().is_none_or(|bits| bits.get_bit(0))
    }

    /// Only the first values stay.
    pub(super) fn truncate(&mut self, values: usize) {
        if let Some(bits) = &mut self.bits {
            bits.truncate(values);
        }
    }

    /// The validity of all values, which is then that of none.
    pub(super) fn take(&mut self) -> Option<NullBuffer> {
        self.bits.take().map(|mut bits| NullBuffer::new(bits.finish()))
    }
}
