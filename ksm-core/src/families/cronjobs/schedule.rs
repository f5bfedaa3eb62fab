//! Cron schedules as the CronJob controller reads them.
//!
//! The rules are those of `robfig/cron` v3 (`ParseStandard`), on which the controller and the API server's validation
//! stand: five fields or a descriptor, an optional `TZ=` or `CRON_TZ=` before them, day of month *or* day of week where
//! both are restricted. A local time that a clock change skips does not occur; one that it repeats occurs twice. The
//! common cron crates differ in one or the other (Sunday as 7, `L` and `#`, skipped times moved, no `@every`), and so
//! would call schedules valid that the API server refuses, and expect runs that the controller never starts.

use std::sync::LazyLock;

use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};
use thiserror::Error;

/// The search ends after so many years, as the controller's does: 30 February never comes.
const SEARCH_YEARS: i16 = 5;

/// Part of the binary, so that the same schedule means the same on every machine.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum ScheduleError {
    #[error("unknown time zone {0:?}: use a name of the IANA database, like Europe/Berlin")]
    Zone(String),
    #[error("{0} fields: use five, for minute, hour, day of month, month and day of week")]
    FieldCount(usize),
    #[error("field {0:?}: use *, numbers, ranges and steps within {1} to {2}, like 1,5-10/2")]
    Field(String, u32, u32),
    #[error(
        "unknown descriptor {0:?}: use @hourly, @daily, @weekly, @monthly, @yearly or @every with a duration like 1h30m"
    )]
    Descriptor(String),
}

/// When to run.
#[derive(Debug)]
pub(super) struct Schedule {
    zone: TimeZone,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    Calendar(Calendar),
    /// So many seconds after the last time.
    Every(i64),
}

impl Schedule {
    /// Reads a schedule. Without a zone it is in UTC: the controller takes its own local time, which is unknown here
    /// and is UTC in the control planes that there are.
    pub(super) fn parse(schedule: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        let prefixed = schedule.strip_prefix("CRON_TZ=").or_else(|| schedule.strip_prefix("TZ="));
        let (zone, schedule) = match (zone, prefixed) {
            (Some(zone), _) => (find_zone(zone)?, schedule.trim()),
            (None, Some(prefixed)) => {
                let (zone, schedule) = prefixed.split_once(' ').ok_or(ScheduleError::FieldCount(0))?;
                (find_zone(zone)?, schedule.trim())
            }
            (None, None) => (TimeZone::UTC, schedule),
        };
        let rule =
            if schedule.starts_with('@') { Rule::parse_descriptor(schedule)? } else { Rule::parse_fields(schedule)? };
        Ok(Self { zone, rule })
    }

    /// The first time after `after`, where there is one within the next years.
    pub(super) fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let calendar = match &self.rule {
            Rule::Every(seconds) => return Timestamp::from_second(after.as_second().checked_add(*seconds)?).ok(),
            Rule::Calendar(calendar) => calendar,
        };
        let mut from = Timestamp::from_second(after.as_second() + 1).ok()?;
        let last_year = self.zone.to_datetime(from).year().saturating_add(SEARCH_YEARS);
        // From one clock change to the next, local time runs evenly.
        loop {
            let offset = self.zone.to_offset(from);
            let local = calendar.first_from(offset.to_datetime(from), last_year)?;
            let found = offset.to_timestamp(local).ok()?;
            match self.zone.following(from).next() {
                Some(change) if found >= change.timestamp() => from = change.timestamp(),
                _ => return Some(found),
            }
        }
    }
}

fn find_zone(name: &str) -> Result<TimeZone, ScheduleError> {
    // The database forgives upper and lower case, the API server does not.
    let zone = ZONES.get(name).ok().filter(|zone| zone.iana_name() == Some(name) && !zone.is_unknown());
    zone.ok_or_else(|| ScheduleError::Zone(name.to_owned()))
}

impl Rule {
    fn parse_descriptor(text: &str) -> Result<Self, ScheduleError> {
        Self::parse_fields(match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => {
                let seconds = other.strip_prefix("@every ").and_then(whole_seconds);
                // Less than a second is a second.
                let every = seconds.map(|seconds| Self::Every(seconds.max(1)));
                return every.ok_or_else(|| ScheduleError::Descriptor(other.to_owned()));
            }
        })
    }

    fn parse_fields(text: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(ScheduleError::FieldCount(fields.len()));
        };
        Ok(Self::Calendar(Calendar {
            minutes: Field::parse(minute, 0, 59, &[])?,
            hours: Field::parse(hour, 0, 23, &[])?,
            days: Field::parse(day, 1, 31, &[])?,
            months: Field::parse(month, 1, 12, &MONTHS)?,
            weekdays: Field::parse(weekday, 0, 6, &WEEKDAYS)?,
        }))
    }
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The values of a field that match, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// Whether a `*` or `?` without a step stands in it: then it restricts nothing.
    is_free: bool,
}

impl Field {
    fn parse(text: &str, min: u32, max: u32, names: &[&str]) -> Result<Self, ScheduleError> {
        let mut field = Self { bits: 0, is_free: false };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            field.add(part, min, max, names).ok_or_else(|| ScheduleError::Field(text.to_owned(), min, max))?;
        }
        Ok(field)
    }

    /// Adds `*`, `a`, `a-b`, any of them with `/step`.
    fn add(&mut self, part: &str, min: u32, max: u32, names: &[&str]) -> Option<()> {
        let number = |text: &str| {
            let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
            named.map_or_else(|| text.parse().ok(), |at| u32::try_from(at).ok().map(|at| at + min))
        };
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (low, high) = range.split_once('-').map_or((range, None), |(low, high)| (low, Some(high)));
        let is_star = low == "*" || low == "?";
        let start = if is_star { min } else { number(low)? };
        let end = match high {
            _ if is_star => max,
            Some(high) => number(high)?,
            // `5/10` is from 5 on.
            None if step.is_some() => max,
            None => start,
        };
        let step: u32 = step.map_or(Some(1), |step| step.parse().ok())?;
        if start < min || end > max || start > end || step == 0 {
            return None;
        }
        self.is_free |= is_star && step == 1;
        self.bits |= (start..=end).step_by(usize::try_from(step).ok()?).fold(0, |bits, value| bits | 1 << value);
        Some(())
    }

    fn has(self, value: i8) -> bool {
        self.bits & 1 << value != 0
    }
}

#[derive(Debug)]
struct Calendar {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

impl Calendar {
    /// The first local time at or after `from` that matches.
    fn first_from(&self, from: DateTime, last_year: i16) -> Option<DateTime> {
        // A time within a minute is past its beginning.
        let from = if from.second() > 0 { from.checked_add(Span::new().minutes(1)).ok()? } else { from };
        let (mut date, mut hour, mut minute) = (from.date(), from.hour(), from.minute());
        while date.year() <= last_year {
            if !self.months.has(date.month()) {
                date = date.last_of_month().tomorrow().ok()?;
            } else if let Some((hour, minute)) = self.first_time_from(hour, minute).filter(|_| self.has_day(date)) {
                return Some(date.at(hour, minute, 0, 0));
            } else {
                date = date.tomorrow().ok()?;
            }
            (hour, minute) = (0, 0);
        }
        None
    }

    fn first_time_from(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        (hour..24).filter(|candidate| self.hours.has(*candidate)).find_map(|candidate| {
            let first = if candidate == hour { minute } else { 0 };
            (first..60).find(|minute| self.minutes.has(*minute)).map(|minute| (candidate, minute))
        })
    }

    fn has_day(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        if self.days.is_free || self.weekdays.is_free { day && weekday } else { day || weekday }
    }
}

/// A duration as Go writes it (`1h30m`, `1.5h`, `-2s`), in whole seconds.
fn whole_seconds(text: &str) -> Option<i64> {
    const SECOND: i128 = 1_000_000_000;

    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Some(0);
    }
    let mut nanos: i128 = 0;
    let mut rest = unsigned;
    loop {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len()));
        let scale = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        nanos += i128::from(whole) * scale;
        let mut part = scale;
        for digit in fraction.chars() {
            part /= 10;
            nanos += part * i128::from(digit.to_digit(10)?);
        }
        if nanos > i128::from(i64::MAX) {
            return None;
        }
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    let nanos = if text.starts_with('-') { -nanos } else { nanos };
    i64::try_from(nanos / SECOND).ok()
}
