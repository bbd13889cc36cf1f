//! The elements of a JSON array, each where it stands.
use super::{
    fault::{EncodeError, Walk},
    lexer::{Budget, Lexer},
};
use crate::{Limits, RefusalCode};
use std::ops::Range;

/// The elements of the array that a body is, each as its bytes, without space around them. The whole body is checked first: nobody can take an
/// element of what turns out to be no array.
///
/// # Errors
/// The body is not an array of JSON, or has more elements than `max_elements`, or is nested deeper than the limit.
pub fn split_array(body: &[u8], max_elements: usize) -> Result<Vec<Range<usize>>, EncodeError> {
    elements(body, max_elements).map_err(|error| error.finished(body))
}

fn elements(body: &[u8], max_elements: usize) -> Walk<Vec<Range<usize>>> {
    let mut lexer = Lexer::new(body)?;
    // Values are counted when an element is encoded; here the bytes bound them.
    let mut budget = Budget { nodes: usize::MAX, depth: Limits::default().depth };
    if lexer.peek()? != b'[' {
        return Err(lexer.fault("the body is not an array"));
    }
    lexer.at += 1;
    let mut elements = Vec::new();
    let mut more = !lexer.take(b']');
    while more {
        lexer.peek()?;
        let start = lexer.at;
        if elements.len() >= max_elements {
            let what = format!("the array has more than `{max_elements}` elements");
            return Err(EncodeError::new(RefusalCode::TooManyNodes, what).at(start));
        }
        lexer.skip(&mut budget).map_err(|error| error.within(&format!("[{}]", elements.len())))?;
        elements.push(start..lexer.at);
        more = lexer.more(b']')?;
    }
    lexer.end()?;
    Ok(elements)
}
