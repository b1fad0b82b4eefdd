//! Days of the calendar, as far as ages need them. Knows no clock: today comes in.

use super::Date;

impl Date {
    /// Reads `2026`, `2026-08` or `2026-08-03`; none if there is no such day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date = Self(text.to_owned());
        date.last_day().map(|_| date)
    }

    /// The day of a time like `2019-06-02T18:45:00Z`, or the date itself.
    pub(super) fn of_time(text: &str) -> Option<Self> {
        let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
        let shaped = |(at, c): (usize, char)| match at {
            2 | 5 => c == ':',
            8 => c == 'Z',
            _ => c.is_ascii_digit(),
        };
        let whole = time.len() == 9 && time.char_indices().all(shaped);
        whole.then(|| Self::parse(day)).flatten()
    }

    /// Days from the last day that this may mean until today: a month is not old before it is over.
    /// Negative if it is to come; none if either is no date.
    #[must_use]
    pub fn age_days(&self, today: &Self) -> Option<i64> {
        Some(today.last_day()? - self.last_day()?)
    }

    /// The last day that it may mean, in days since 1970-01-01.
    fn last_day(&self) -> Option<i64> {
        let parts: Vec<&str> = self.0.split('-').collect();
        let widths = [4, 2, 2];
        let well = parts.iter().zip(widths).all(|(part, width)| {
            part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit())
        });
        if !well || parts.len() > 3 {
            return None;
        }
        let number = |at: usize| parts.get(at).and_then(|part| part.parse::<i64>().ok());
        let year = number(0)?;
        let month = number(1).unwrap_or(12);
        if !(1..=12).contains(&month) {
            return None;
        }
        let length = month_length(year, month);
        let day = number(2).unwrap_or(length);
        (1..=length)
            .contains(&day)
            .then(|| days_from_civil(year, month, day))
    }
}

fn month_length(year: i64, month: i64) -> i64 {
    let (next_year, next) = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    days_from_civil(next_year, next, 1) - days_from_civil(year, month, 1)
}

/// Days since 1970-01-01, by Howard Hinnant's `days_from_civil`
/// (howardhinnant.github.io/date_algorithms.html): years begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_count_from_the_last_day_that_is_meant() {
        let age = |date: &str, today: &str| Date(date.into()).age_days(&Date(today.into()));
        assert_eq!(age("2026-11-20", "2026-11-22"), Some(2));
        assert_eq!(age("2026-10", "2026-11-22"), Some(22));
        assert_eq!(age("2025", "2026-11-22"), Some(326));
        assert_eq!(age("2024-02", "2024-03-01"), Some(1), "2024 is a leap year");
        assert_eq!(age("2026", "2026-11-22"), Some(-39), "the year is not over");
        assert_eq!(age("1970-01-01", "1970-01-02"), Some(1));
    }

    #[test]
    fn only_days_of_the_calendar_are_dates() {
        for good in ["2026", "2026-08", "2026-08-03", "2024-02-29"] {
            assert!(Date::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "26",
            "2026-13",
            "2026-00",
            "2025-02-29",
            "2026-8-3",
            "2026-08-03-1",
        ] {
            assert_eq!(Date::parse(bad), None, "{bad}");
        }
        let day = Date::of_time("2019-06-02T18:45:00Z");
        assert_eq!(day, Some(Date("2019-06-02".into())));
        assert_eq!(Date::of_time("2019-06-02T18:45"), None);
        assert_eq!(Date::of_time("2020-03-03"), Some(Date("2020-03-03".into())));
    }
}
