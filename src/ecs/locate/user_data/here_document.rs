//! Here-documents, and multi-line comments.

/// A text that begins in one line and ends in another.
pub(super) struct HereDocument<'a> {
    /// The line, or the quote, that ends it.
    pub(super) end: &'a str,
    pub(super) is_quoted: bool,
    /// Whether it is passed to a command that does nothing: `: <<'X'`, `: '`.
    pub(super) is_comment: bool,
}

impl<'a> HereDocument<'a> {
    /// The here-document that begins in a line, if there is one.
    pub(super) fn new(line: &'a str) -> Option<Self> {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix(": ") {
            let quote = comment.get(..1).filter(|quote| ["'", "\""].contains(quote));
            if let Some(end) = quote.filter(|quote| comment.matches(quote).count() == 1) {
                return Some(Self { end, is_quoted: true, is_comment: true });
            }
        }
        let (before, after) = line.split_once("<<").filter(|_| !line.starts_with('#'))?;
        let after = after.trim_start_matches('-').trim_start().trim_start_matches(['\'', '"', '\\']);
        let rest = after.trim_start_matches(|c: char| c.is_alphanumeric() || "_-.!".contains(c));
        let end = after.strip_suffix(rest).filter(|end| !end.is_empty())?;
        let is_comment = match before.trim() {
            "" => rest.len() < 2,
            command => matches!(command, ":" | "true"),
        };
        Some(Self { end, is_quoted: false, is_comment })
    }

    pub(super) fn ends_with(&self, line: &str) -> bool {
        if self.is_quoted { line.contains(self.end) } else { line.trim() == self.end }
    }
}

/// Removes PowerShell's comments, `<# … #>`.
pub(super) fn without_comments(text: &str) -> String {
    let mut pieces = text.split("<#");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once("#>").map_or("", |(_, rest)| rest))
}
