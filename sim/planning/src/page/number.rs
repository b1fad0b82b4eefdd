//! Figures as people read them: few digits, thousands apart, powers of ten where there are many.
//!
//! Knows no unit.

/// A figure to four digits; whole numbers keep all of theirs: `0.9987`, `12.5`, `1,234`, `2.5×10⁻⁷`.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return if value.is_nan() {
            "?"
        } else if value > 0.0 {
            "∞"
        } else {
            "−∞"
        }
        .to_owned();
    }
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e12).contains(&size) {
        return power(value);
    }
    let digits = libm::floor(libm::log10(size)) as i32;
    let decimals = usize::try_from(3 - digits).unwrap_or_default();
    let text = format!("{size:.decimals$}");
    let (whole, part) = text.split_once('.').unwrap_or((text.as_str(), ""));
    let part = part.trim_end_matches('0');
    let sign = if value < 0.0 { "−" } else { "" };
    let point = if part.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{part}", grouped(whole))
}

/// `1234567` as `1,234,567`.
fn grouped(whole: &str) -> String {
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `2.5×10⁻⁷`, and `10⁻⁷` for a power of ten itself.
fn power(value: f64) -> String {
    let text = format!("{value:.3e}").replace('-', "−");
    let (mantissa, exponent) = text.split_once('e').expect("scientific notation has an e");
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    let raised: String = exponent.chars().map(superscript).collect();
    match mantissa {
        "1" => format!("10{raised}"),
        "−1" => format!("−10{raised}"),
        mantissa => format!("{mantissa}×10{raised}"),
    }
}

fn superscript(c: char) -> char {
    match c {
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '−' => '⁻',
        digit => {
            let above = digit
                .to_digit(10)
                .expect("an exponent has digits and a sign");
            char::from_u32(u32::from('⁰') + above).expect("superscripts follow each other")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_whole_numbers_are_whole() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (12.5, "12.5"),
            (0.998_74, "0.9987"),
            (1_234.0, "1,234"),
            (1_234_567.8, "1,234,568"),
            (-0.25, "−0.25"),
            (0.000_000_25, "2.5×10⁻⁷"),
            (1e-5, "10⁻⁵"),
            (3e14, "3×10¹⁴"),
            (-1e-9, "−10⁻⁹"),
            (999_999.96, "1,000,000"),
            (f64::INFINITY, "∞"),
            (f64::NAN, "?"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
