//! The core schema of YAML 1.2 (section 10.3.2): which bare words are numbers, which are truth
//! values, and which are nothing.

use super::Style;

/// What a scalar is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Core<'t> {
    /// `null`, `~` or no text at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number: decimal, octal (`0o17`) or hexadecimal (`0x1f`).
    Integer(i128),
    /// Any other number; also a whole one beyond 128 bits.
    Float(f64),
    /// Everything else.
    Text(&'t str),
}

impl<'t> Core<'t> {
    /// Judges `text` as it is written.
    #[must_use]
    pub fn of(text: &'t str, style: Style) -> Self {
        if style == Style::Quoted {
            return Self::Text(text);
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
                return Self::Float(f64::INFINITY);
            }
            "-.inf" | "-.Inf" | "-.INF" => return Self::Float(f64::NEG_INFINITY),
            ".nan" | ".NaN" | ".NAN" => return Self::Float(f64::NAN),
            _ => {}
        }
        integer(text)
            .or_else(|| float(text))
            .unwrap_or(Self::Text(text))
    }
}

fn integer(text: &str) -> Option<Core<'static>> {
    let radix = |digits: &str, base| {
        let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(base));
        valid
            .then(|| i128::from_str_radix(digits, base).ok())
            .flatten()
    };
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8).map(Core::Integer);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16).map(Core::Integer);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = radix(digits, 10)?;
    Some(Core::Integer(if negative { -number } else { number }))
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn float(text: &str) -> Option<Core<'static>> {
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if exponent.is_empty() || !digits(exponent) {
            return None;
        }
    }
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    text.parse().ok().map(Core::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_follow_the_core_schema() {
        let plain = |text| Core::of(text, Style::Plain);
        for (text, number) in [("0", 0), ("-17", -17), ("+3", 3), ("010", 10), ("0o17", 15)] {
            assert_eq!(plain(text), Core::Integer(number), "{text}");
        }
        assert_eq!(plain("0x1F"), Core::Integer(31));
        for (text, number) in [("1.35", 1.35), (".5", 0.5), ("2.", 2.0), ("-1e3", -1000.0)] {
            assert_eq!(plain(text), Core::Float(number), "{text}");
        }
        for text in [
            "on", "off", "yes", "no", "y", "1.35.2", "0x", ".", "e3", "1_000", "-",
        ] {
            assert_eq!(plain(text), Core::Text(text));
        }
        for text in ["", "~", "null", "NULL"] {
            assert_eq!(plain(text), Core::Null);
        }
        assert_eq!(plain("True"), Core::Bool(true));
        assert_eq!(plain("-.inf"), Core::Float(f64::NEG_INFINITY));
    }

    #[test]
    fn quotes_make_text_of_anything() {
        for text in ["1", "true", "", "~", "1.5"] {
            assert_eq!(Core::of(text, Style::Quoted), Core::Text(text));
        }
    }
}
