//! Avro by hand: binary encoding of a telemetry row, after the specification.
use super::TelemetryRow;

/// Magic byte and schema id, big-endian.
const FRAME_BYTES: usize = 5;

/// Framed bytes of a row.
pub(super) fn framed(row: &TelemetryRow, schema_id: i32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    bytes.push(0);
    bytes.extend(schema_id.to_be_bytes());
    body(row, &mut bytes);
    bytes
}

/// Where a row's `site` (one byte, as there are four symbols) lies in its framed bytes.
pub(super) fn site_at(row: &TelemetryRow) -> usize {
    let mut before = Vec::new();
    head(row, &mut before);
    FRAME_BYTES + before.len()
}

fn body(row: &TelemetryRow, bytes: &mut Vec<u8>) {
    head(row, bytes);
    long(i64::try_from(row.site).unwrap_or(0), bytes);
    match row.temperature {
        None => long(0, bytes),
        Some(value) => {
            long(1, bytes);
            bytes.extend(value.to_le_bytes());
        }
    }
    long(i64::from(row.counter), bytes);
    bytes.push(u8::from(row.active));
    match row.location {
        None => long(0, bytes),
        Some((latitude, longitude)) => {
            long(1, bytes);
            bytes.extend(latitude.to_le_bytes());
            bytes.extend(longitude.to_le_bytes());
        }
    }
    if !row.tags.is_empty() {
        long(i64::try_from(row.tags.len()).unwrap_or(0), bytes);
        for (key, value) in &row.tags {
            text(key, bytes);
            text(value, bytes);
        }
    }
    long(0, bytes);
}

fn head(row: &TelemetryRow, bytes: &mut Vec<u8>) {
    text(&row.device_id, bytes);
    long(row.seq, bytes);
    long(row.event_time_us, bytes);
}

fn text(value: &str, bytes: &mut Vec<u8>) {
    long(i64::try_from(value.len()).unwrap_or(0), bytes);
    bytes.extend(value.as_bytes());
}

/// Zigzag, then seven bits a byte, low ones first.
fn long(value: i64, bytes: &mut Vec<u8>) {
    let mut rest = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    while rest >= 0x80 {
        bytes.push(0x80 | u8::try_from(rest & 0x7f).unwrap_or(0));
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_are_those_of_the_specification() {
        for (value, expected) in [
            (0, vec![0]),
            (-1, vec![1]),
            (1, vec![2]),
            (-64, vec![0x7f]),
            (64, vec![0x80, 1]),
            (i64::MIN, [vec![0xff; 9], vec![1]].concat()),
        ] {
            let mut bytes = Vec::new();
            long(value, &mut bytes);
            assert_eq!(bytes, expected, "{value}");
        }
    }

    #[test]
    fn a_row_is_framed_avro() {
        let row = TelemetryRow {
            device_id: "d".into(),
            seq: 1,
            event_time_us: 64,
            site: 3,
            temperature: Some(1.5),
            counter: -1,
            active: true,
            location: None,
            tags: vec![("k".into(), "v".into())],
        };
        let expected =
            [vec![0, 0, 0, 1, 2], vec![2, b'd', 2, 0x80, 1, 6, 2], 1.5_f64.to_le_bytes().to_vec(), vec![1, 1, 0, 2, 2, b'k', 2, b'v', 0]];
        let bytes = framed(&row, 258);
        assert_eq!(bytes, expected.concat());
        assert_eq!(bytes[site_at(&row)], 6);
    }
}
