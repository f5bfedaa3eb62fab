//! When things happened to a container.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Container;

impl Container {
    /// When it was created; `None` from NRI before 0.10, which does not tell.
    pub fn created(&self) -> Option<SystemTime> {
        at(self.created_at)
    }

    /// When it started; `None` if it has not, or from NRI before 0.10.
    pub fn started(&self) -> Option<SystemTime> {
        at(self.started_at)
    }

    /// When it ended; `None` if it has not, or from NRI before 0.10.
    pub fn finished(&self) -> Option<SystemTime> {
        at(self.finished_at)
    }
}

/// Nanoseconds of Unix time. What is not positive is no time: Go's zero time, the year 1, is a large negative number.
fn at(nanoseconds: i64) -> Option<SystemTime> {
    let nanoseconds = u64::try_from(nanoseconds).ok().filter(|nanoseconds| *nanoseconds > 0)?;
    UNIX_EPOCH.checked_add(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_its_own_and_what_has_not_happened_has_none() {
        let container =
            Container { created_at: 1, started_at: 2, finished_at: -6_795_364_578_871_345_152, ..Container::default() };
        assert_eq!(container.created(), Some(UNIX_EPOCH + Duration::from_nanos(1)));
        assert_eq!(container.started(), Some(UNIX_EPOCH + Duration::from_nanos(2)));
        assert_eq!((container.finished(), Container::default().created()), (None, None));
        let ended = Container { finished_at: 3, ..Container::default() };
        assert_eq!(ended.finished(), Some(UNIX_EPOCH + Duration::from_nanos(3)));
    }
}
