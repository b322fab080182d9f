//! Pages and their tokens.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A page of keys in order, and the token of the next one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// The token was not issued for this query.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadToken;

/// Cuts the page that a token stands for out of sorted items.
///
/// `query` is everything that has to be the same from page to page. A token names the last key seen, so that a change
/// between two pages skips and repeats nothing.
pub(crate) fn cut<T: AsRef<str>>(
    query: &str,
    token: Option<&str>,
    size: usize,
    items: impl IntoIterator<Item = T>,
) -> Result<Page<T>, BadToken> {
    let after = token.map(|token| open(query, token)).transpose()?;
    let mut rest =
        items.into_iter().filter(|item| after.as_deref().is_none_or(|after| item.as_ref() > after)).peekable();
    let items: Vec<T> = rest.by_ref().take(size.max(1)).collect();
    let next = match (rest.peek(), items.last()) {
        (Some(_), Some(last)) => Some(seal(query, last.as_ref())),
        _ => None,
    };
    Ok(Page { items, next })
}

/// The token of the page after this key.
pub(crate) fn seal(query: &str, after: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{:016x}{after}", digest(query)))
}

/// The last key seen, from a token for this query.
pub(crate) fn open(query: &str, token: &str) -> Result<String, BadToken> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
    let text = String::from_utf8(bytes).map_err(|_| BadToken)?;
    let after = text.strip_prefix(&format!("{:016x}", digest(query)));
    after.map(str::to_owned).ok_or(BadToken)
}

fn digest(query: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    query.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_once_and_no_token_at_the_end() {
        let items = ["a", "b", "c", "d"];
        let first = cut("q", None, 2, items).unwrap();
        assert_eq!(first.items, ["a", "b"]);
        let second = cut("q", first.next.as_deref(), 2, items).unwrap();
        assert_eq!((second.items, second.next), (vec!["c", "d"], None));
    }

    #[test]
    fn a_token_belongs_to_its_query() {
        let next = cut("q", None, 1, ["a", "b"]).unwrap().next;
        assert_eq!(cut("other", next.as_deref(), 1, ["a", "b"]), Err(BadToken));
        assert_eq!(cut("q", Some("made up"), 1, ["a", "b"]), Err(BadToken));
    }
}
