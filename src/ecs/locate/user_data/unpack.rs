//! Unpacks user data: base64, gzip and MIME, in any nesting.

use std::io::Read;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use flate2::bufread::GzDecoder;

/// Unpacks user data as `DescribeInstanceAttribute` returns it; `None` if it can't be read.
pub(super) fn unpack(user_data: &str) -> Option<Unpacked> {
    let packed: String = user_data.split_whitespace().collect();
    let mut unpacked = Unpacked { text: String::new(), is_cut: false, inflatable: INFLATED, remaining: MAX_UNPACKED };
    unpacked.add(&BASE64.decode(packed).ok()?, DEPTH)?;
    Some(unpacked)
}

/// Standard base64, with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The fewest characters that base64 needs to name a cluster: `ECS_CLUSTER=` has 12 bytes.
const MIN_BASE64_CHARS: usize = 16;

/// The start of gzip data.
pub(super) const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];

/// The most bytes that all gzip data may inflate to, 256 KiB: EC2 accepts 16 KiB of user data, which can be some 100
/// KiB of scripts, but also 16 MiB of zeros.
pub(super) const INFLATED: usize = 256 << 10;

/// The deepest nesting of gzip and base64, 8: packed files in a packed part of packed user data are at 5.
pub(super) const DEPTH: usize = 8;

/// The most bytes of a text with all that is packed in it, and of all quoted texts that are read.
pub(super) const MAX_UNPACKED: usize = INFLATED;

/// The cost of a line beside its bytes.
pub(super) const LINE: usize = 16;

/// The cost of each of its tokens beside its bytes.
pub(super) const TOKEN: usize = 2;

/// The least cost of a decoder, in bytes: it has tables of its own.
const DECODER: usize = 1 << 10;

/// User data as one text. Packed content follows the line that contains it.
pub(super) struct Unpacked {
    pub(super) text: String,
    /// Whether a part of it can't be read.
    pub(super) is_cut: bool,
    /// The bytes that may still be inflated.
    inflatable: usize,
    /// The bytes of text that may still be added.
    remaining: usize,
}

impl Unpacked {
    /// Adds text with gzip data in it; `None` if there is too much of it.
    fn add(&mut self, mut data: &[u8], depth: usize) -> Option<()> {
        while !data.is_empty() {
            let depth = depth.checked_sub(1)?;
            let start = data.windows(GZIP.len()).position(|bytes| bytes == GZIP).unwrap_or(data.len());
            let (text, packed) = data.split_at_checked(start)?;
            self.add_text(&String::from_utf8_lossy(text), depth)?;
            let (mut rest, mut inflated) = (packed, Vec::new());
            if packed.is_empty() {
                break;
            }
            let is_whole =
                GzDecoder::new(&mut rest).take(self.inflatable as u64 + 1).read_to_end(&mut inflated).is_ok();
            self.inflatable = self.inflatable.checked_sub(inflated.len().max(DECODER))?;
            if is_whole {
                self.add(&inflated, depth)?;
                data = rest;
            } else {
                self.is_cut = true;
                data = packed.get(GZIP.len()..)?;
            }
        }
        Some(())
    }

    /// Adds text with base64 in it, which may span many lines.
    fn add_text(&mut self, text: &str, depth: usize) -> Option<()> {
        let text = text.replace("\r\n", "\n").replace("\\\n", " ").replace(" `\n", " ");
        let (mut packed, mut boundary, mut is_quoted_printable) = (String::new(), "", false);
        for line in text.lines() {
            self.remaining = self.remaining.checked_sub(line.len() + LINE)?;
            if let Some((_, value)) = line.split_once("boundary=") {
                boundary = value.trim_start_matches('"').split(['"', ';', ' ']).next().unwrap_or_default();
            }
            if let Some(encoding) = after_prefix(line, "Content-Transfer-Encoding:") {
                is_quoted_printable = after_prefix(encoding.trim(), "quoted-printable").is_some();
            }
            is_quoted_printable &= !line.strip_prefix("--").is_some_and(|line| line.starts_with(boundary));
            if is_quoted_printable {
                self.text += &String::from_utf8_lossy(&decoded(line));
                self.text += if line.ends_with('=') { "" } else { "\n" };
                continue;
            }
            if !packed.is_empty() && !packed.ends_with('=') && is_base64(line.trim()) {
                packed += line.trim();
                continue;
            }
            self.add_packed(&mut packed, depth)?;
            self.text += line;
            self.text += "\n";
            if !line.trim_start().starts_with('#') {
                let words = line.split_inclusive(|c| !is_base64_char(c));
                for word in words.map(|word| word.trim_end_matches(|c| c != '=' && !is_base64_char(c))) {
                    if word.len() >= MIN_BASE64_CHARS {
                        self.add_packed(&mut packed, depth)?;
                        packed += word;
                    }
                }
                for url in line.split("data:").skip(1) {
                    let url = url.split(|c: char| c.is_whitespace() || "\"')<>".contains(c)).next().unwrap_or_default();
                    if let Some((_, data)) = url.split_once(',').filter(|(_, data)| data.contains('%')) {
                        self.add_packed(&mut packed, depth)?;
                        // Percent-encoding is quoted-printable with another sign.
                        let data = decoded(&data.replace('=', "=3D").replace('%', "="));
                        self.add(&data, depth)?;
                    }
                }
            }
        }
        self.add_packed(&mut packed, depth)
    }

    /// Adds the content of text that may be base64. Words and paths that only look like base64 decode to noise, which
    /// names no cluster.
    fn add_packed(&mut self, packed: &mut String, depth: usize) -> Option<()> {
        let packed = std::mem::take(packed);
        let packed = packed.trim_end_matches('=');
        // A single leftover character shows where the text was cut.
        let packed = if packed.len() % 4 == 1 { packed.get(..packed.len() - 1)? } else { packed };
        BASE64.decode(packed).map_or(Some(()), |data| self.add(&data, depth))
    }
}

/// Decodes quoted-printable text.
fn decoded(text: &str) -> Vec<u8> {
    quoted_printable::decode(text, quoted_printable::ParseMode::Robust).unwrap_or_default()
}

fn is_base64_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '+' || c == '/'
}

/// Whether a line may be one of several lines of base64: unlike `EOF`, those have whole groups of four characters.
fn is_base64(line: &str) -> bool {
    !line.is_empty() && line.len().is_multiple_of(4) && line.trim_end_matches('=').chars().all(is_base64_char)
}

/// The rest after a prefix, ignoring case.
pub(super) fn after_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
