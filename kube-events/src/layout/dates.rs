//! Times by Go's layouts: a layout is how the second of January 2006, 15:04:05 would be written.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The parts of a layout, the longer before the shorter that they begin with.
const PARTS: &[(&str, Part)] = &[
    ("January", Part::MonthName),
    ("Jan", Part::MonthShort),
    ("Monday", Part::DayName),
    ("Mon", Part::DayShort),
    ("MST", Part::Zone),
    ("2006", Part::Year),
    ("002", Part::DayOfYear),
    ("01", Part::Month2),
    ("02", Part::Day2),
    ("03", Part::Hour12Two),
    ("04", Part::Minute2),
    ("05", Part::Second2),
    ("06", Part::Year2),
    ("15", Part::Hour),
    ("_2", Part::DaySpaced),
    ("PM", Part::Noon("AM", "PM")),
    ("pm", Part::Noon("am", "pm")),
    ("Z07:00:00", Part::Text("Z")),
    ("Z070000", Part::Text("Z")),
    ("Z07:00", Part::Text("Z")),
    ("Z0700", Part::Text("Z")),
    ("Z07", Part::Text("Z")),
    ("-07:00:00", Part::Text("+00:00:00")),
    ("-07:00", Part::Text("+00:00")),
    ("-0700", Part::Text("+0000")),
    ("-07", Part::Text("+00")),
    ("1", Part::Month),
    ("2", Part::Day),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
];

#[derive(Debug, Clone, Copy)]
enum Part {
    MonthName,
    MonthShort,
    Month,
    Month2,
    DayName,
    DayShort,
    Day,
    Day2,
    DaySpaced,
    DayOfYear,
    Year,
    Year2,
    Hour,
    Hour12,
    Hour12Two,
    Minute,
    Minute2,
    Second,
    Second2,
    Noon(&'static str, &'static str),
    Zone,
    Text(&'static str),
}

/// The time in UTC.
pub(super) fn format(layout: &str, time: Timestamp) -> String {
    let time = time.to_zoned(TimeZone::UTC);
    let mut out = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if let Some((fraction, digits, dropped)) = fraction(rest) {
            let nanos = format!("{:09}", time.subsec_nanosecond());
            let digits = nanos.get(..digits).unwrap_or(&nanos);
            let digits = if dropped { digits.trim_end_matches('0') } else { digits };
            if !digits.is_empty() {
                out.push(first);
                out.push_str(digits);
            }
            rest = rest.get(fraction..).unwrap_or_default();
            continue;
        }
        // `Jan` within a word is no month.
        let word = |text: &str, after: &str| {
            matches!(text, "Jan" | "Mon") && after.starts_with(|letter: char| letter.is_ascii_lowercase())
        };
        let part = PARTS.iter().find_map(|(text, part)| {
            let after = rest.strip_prefix(text)?;
            (!word(text, after)).then_some((part, after))
        });
        let Some((part, after)) = part else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        };
        rest = after;
        let month = usize::try_from(time.month() - 1).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or("");
        let day = day_name(time.weekday());
        let hour12 = if time.hour() % 12 == 0 { 12 } else { time.hour() % 12 };
        // A String takes any text.
        let _ = match part {
            Part::MonthName => write!(out, "{month}"),
            Part::MonthShort => write!(out, "{month:.3}"),
            Part::Month => write!(out, "{}", time.month()),
            Part::Month2 => write!(out, "{:02}", time.month()),
            Part::DayName => write!(out, "{day}"),
            Part::DayShort => write!(out, "{day:.3}"),
            Part::Day => write!(out, "{}", time.day()),
            Part::Day2 => write!(out, "{:02}", time.day()),
            Part::DaySpaced => write!(out, "{:2}", time.day()),
            Part::DayOfYear => write!(out, "{:03}", time.day_of_year()),
            Part::Year => write!(out, "{:04}", time.year()),
            Part::Year2 => write!(out, "{:02}", time.year().rem_euclid(100)),
            Part::Hour => write!(out, "{:02}", time.hour()),
            Part::Hour12 => write!(out, "{hour12}"),
            Part::Hour12Two => write!(out, "{hour12:02}"),
            Part::Minute => write!(out, "{}", time.minute()),
            Part::Minute2 => write!(out, "{:02}", time.minute()),
            Part::Second => write!(out, "{}", time.second()),
            Part::Second2 => write!(out, "{:02}", time.second()),
            Part::Noon(before, after) => write!(out, "{}", if time.hour() < 12 { before } else { after }),
            Part::Zone => write!(out, "UTC"),
            Part::Text(text) => write!(out, "{text}"),
        };
    }
    out
}

/// `.000` or `.999` (or with a comma): its length, its digits, whether zeros at its end are dropped.
fn fraction(text: &str) -> Option<(usize, usize, bool)> {
    let after = text.strip_prefix(['.', ','])?;
    let digit = after.chars().next().filter(|digit| matches!(digit, '0' | '9'))?;
    let digits = after.chars().take_while(|letter| *letter == digit).count();
    let next = after.get(digits..)?.chars().next();
    (digits <= 9 && !next.is_some_and(|next| next.is_ascii_digit())).then_some((digits + 1, digits, digit == '9'))
}

fn day_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

/// The name of an index that depends on the day, as `kube-events-{2006-01-02}`: what stands between the first `{` and
/// the last `}` is a layout of Go's for a time in UTC.
///
/// ```
/// use kube_events::layout::IndexFormat;
///
/// let index = IndexFormat::new("kube-events-{2006.01}");
/// assert_eq!(index.render("2024-05-01T10:00:00Z".parse()?), "kube-events-2024.05");
/// # Ok::<(), jiff::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFormat {
    before: String,
    layout: String,
    after: String,
}

impl IndexFormat {
    /// Any text is one, if only one that is always the same.
    pub fn new(text: &str) -> Self {
        let parts = text.split_once('{').and_then(|(before, rest)| Some((before, rest.rsplit_once('}')?)));
        let (before, layout, after) = parts.map_or((text, "", ""), |(before, (layout, after))| (before, layout, after));
        Self { before: before.to_owned(), layout: layout.to_owned(), after: after.to_owned() }
    }

    /// The index of a time.
    pub fn render(&self, time: Timestamp) -> String {
        format!("{}{}{}", self.before, format(&self.layout, time), self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let time: Timestamp = "2024-05-01T15:04:09.120456Z".parse().unwrap();
        let table = [
            ("2006-01-02T15:04:05Z07:00", "2024-05-01T15:04:09Z"),
            ("2006-01-02T15:04:05.000Z", "2024-05-01T15:04:09.120Z"),
            ("2006-01-02T15:04:05.999999999-0700", "2024-05-01T15:04:09.120456+0000"),
            ("Mon Jan _2 15:04:05 MST 2006", "Wed May  1 15:04:09 UTC 2024"),
            ("Monday, 2 January 06 3:4:5 PM", "Wednesday, 1 May 24 3:4:9 PM"),
            ("03pm 002 1", "03pm 122 5"),
            ("Januarys Janet Month", "Mays Janet Month"),
            ("15:04:05,00", "15:04:09,12"),
            ("größe", "größe"),
            ("", ""),
        ];
        for (layout, want) in table {
            assert_eq!(format(layout, time), want, "{layout}");
        }
        let midnight: Timestamp = "2024-12-31T00:00:00Z".parse().unwrap();
        assert_eq!(format("3PM 15 .999 002", midnight), "12AM 00  366");
    }

    #[test]
    fn indices() {
        let time: Timestamp = "2024-05-01T10:00:00Z".parse().unwrap();
        let table = [
            ("kube-events-{2006-01-02}", "kube-events-2024-05-01"),
            ("{2006}-x", "2024-x"),
            ("plain-2006", "plain-2006"),
            ("open-{2006", "open-{2006"),
            ("a-{2006}-{01}", "a-2024}-{05"),
            ("", ""),
        ];
        for (text, want) in table {
            assert_eq!(IndexFormat::new(text).render(time), want, "{text}");
        }
    }
}
