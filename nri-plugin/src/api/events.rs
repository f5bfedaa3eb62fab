//! Sets of events.

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};
use std::str::FromStr;

use thiserror::Error;

use super::Event;

/// All events of NRI 0.12, with the names that Go's stub gives them.
const EVENTS: [(Event, &str); 14] = [
    (Event::RunPodSandbox, "RunPodSandbox"),
    (Event::StopPodSandbox, "StopPodSandbox"),
    (Event::RemovePodSandbox, "RemovePodSandbox"),
    (Event::CreateContainer, "CreateContainer"),
    (Event::PostCreateContainer, "PostCreateContainer"),
    (Event::StartContainer, "StartContainer"),
    (Event::PostStartContainer, "PostStartContainer"),
    (Event::UpdateContainer, "UpdateContainer"),
    (Event::PostUpdateContainer, "PostUpdateContainer"),
    (Event::StopContainer, "StopContainer"),
    (Event::RemoveContainer, "RemoveContainer"),
    (Event::UpdatePodSandbox, "UpdatePodSandbox"),
    (Event::PostUpdatePodSandbox, "PostUpdatePodSandbox"),
    (Event::ValidateContainerAdjustment, "ValidateContainerAdjustment"),
];

/// A set of events, as a plugin subscribes to them: bit (number − 1) for each.
///
/// On the wire an empty set means *all that the runtime knows*; in this type it is empty, and a session never sends it.
///
/// ```
/// use nri_plugin::api::{Event, EventMask};
///
/// let wanted: EventMask = "pod,startcontainer".parse()?;
/// assert!(wanted.contains(Event::RunPodSandbox) && wanted.contains(Event::StartContainer));
/// assert_eq!(wanted.without(Event::StartContainer), EventMask::POD);
/// assert_eq!((EventMask::of(Event::StopContainer) | EventMask::of(Event::StartContainer)).to_string(),
///     "StartContainer,StopContainer");
/// # Ok::<(), nri_plugin::api::UnknownEvent>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct EventMask(i32);

/// No event, and no group of events, has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no event: give names such as RunPodSandbox, or all, pod, container, with commas between them")]
pub struct UnknownEvent(pub String);

impl EventMask {
    /// None.
    pub const NONE: Self = Self(0);
    /// All events of NRI 0.10 to 0.12: 0x3fff.
    pub const ALL: Self = Self(0x3fff);
    /// All events of NRI before 0.10: 0x7ff. A bit beyond them ends the connection.
    pub const BEFORE_0_10: Self = Self(0x7ff);
    /// The events of pods.
    pub const POD: Self = Self(0b0001_1000_0000_0111);
    /// The events in the life of containers; validation, which judges other plugins, is none of them.
    pub const CONTAINER: Self = Self(0b0000_0111_1111_1000);

    /// The set of this event alone; empty for [`Event::Unknown`] and [`Event::Last`], which are none.
    pub const fn of(event: Event) -> Self {
        match event {
            Event::Unknown | Event::Last => Self::NONE,
            event => Self(1 << (event as i32 - 1)),
        }
    }

    /// The set that a number from the wire stands for, where 0 is empty. Bits beyond the known events are kept.
    pub const fn from_bits(bits: i32) -> Self {
        Self(bits)
    }

    /// The number for the wire, where 0 would mean all.
    pub const fn bits(self) -> i32 {
        self.0
    }

    /// Whether the event is in it.
    pub const fn contains(self, event: Event) -> bool {
        self.0 & Self::of(event).0 != 0
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set and the event.
    pub const fn with(self, event: Event) -> Self {
        Self(self.0 | Self::of(event).0)
    }

    /// This set less the event.
    pub const fn without(self, event: Event) -> Self {
        Self(self.0 & !Self::of(event).0)
    }

    /// The known events in it, by number.
    pub fn iter(self) -> impl Iterator<Item = Event> {
        EVENTS.iter().map(|(event, _)| *event).filter(move |event| self.contains(*event))
    }
}

impl Event {
    /// The name that Go's stub gives the event; empty for the two values that are none.
    pub fn name(self) -> &'static str {
        EVENTS.iter().find(|(event, _)| *event == self).map_or("", |(_, name)| name)
    }

    /// The event whose [`name`](Self::name) this is; it is the name of the event's call as well.
    pub fn from_name(name: &str) -> Option<Self> {
        EVENTS.iter().find(|(_, known)| *known == name).map(|(event, _)| *event)
    }
}

impl FromIterator<Event> for EventMask {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        events.into_iter().fold(Self::NONE, Self::with)
    }
}

impl BitOr for EventMask {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for EventMask {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for EventMask {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Names with commas between them, without regard to case; `all`, `pod` (or `podsandbox`) and `container` stand for
/// many. An empty text is an empty set.
impl FromStr for EventMask {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        let mut mask = Self::NONE;
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let named = |(event, known): &(Event, &str)| known.eq_ignore_ascii_case(name).then(|| Self::of(*event));
            mask = mask
                | match name.to_ascii_lowercase().as_str() {
                    "all" => Self::ALL,
                    "pod" | "podsandbox" => Self::POD,
                    "container" => Self::CONTAINER,
                    _ => EVENTS.iter().find_map(named).ok_or_else(|| UnknownEvent(name.to_owned()))?,
                };
        }
        Ok(mask)
    }
}

/// The names, in the order of the numbers, and what is beyond them as a number.
impl fmt::Display for EventMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for event in self.iter() {
            write!(f, "{comma}{}", event.name())?;
            comma = ",";
        }
        let beyond = *self - Self::ALL;
        if beyond.is_empty() { Ok(()) } else { write!(f, "{comma}{:#x}", beyond.0) }
    }
}

impl fmt::Debug for EventMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventMask({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_its_bit() {
        for (number, (event, name)) in (1..).zip(EVENTS) {
            assert_eq!(event as i32, number, "{name}");
            assert_eq!(EventMask::of(event).bits(), 1 << (number - 1), "{name}");
        }
        assert_eq!(EVENTS.iter().map(|(event, _)| *event).collect::<EventMask>(), EventMask::ALL);
        assert_eq!(EventMask::BEFORE_0_10, EventMask::ALL.iter().filter(|event| (*event as i32) < 12).collect());
    }

    #[test]
    fn values_that_are_no_events_have_no_bit() {
        assert_eq!(EventMask::of(Event::Unknown), EventMask::NONE);
        assert_eq!(EventMask::ALL.with(Event::Last), EventMask::ALL);
        assert!(!EventMask::from_bits(-1).contains(Event::Last));
    }

    #[test]
    fn groups_are_what_their_names_say() {
        let pods = EventMask::ALL.iter().filter(|event| event.name().ends_with("PodSandbox")).collect();
        assert_eq!(EventMask::POD, pods);
        assert_eq!(EventMask::CONTAINER, EventMask::ALL - pods - EventMask::of(Event::ValidateContainerAdjustment));
    }

    #[test]
    fn names_are_read_without_regard_to_case() {
        assert_eq!("ALL".parse(), Ok(EventMask::ALL));
        assert_eq!(" runpodsandbox , CONTAINER".parse(), Ok(EventMask::CONTAINER.with(Event::RunPodSandbox)));
        assert_eq!("".parse(), Ok(EventMask::NONE));
        assert_eq!("RunPod".parse::<EventMask>(), Err(UnknownEvent("RunPod".to_owned())));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for mask in [EventMask::NONE, EventMask::ALL, EventMask::POD, EventMask::CONTAINER] {
            assert_eq!(mask.to_string().parse(), Ok(mask));
        }
        assert_eq!((EventMask::from_bits(0x4000).with(Event::RunPodSandbox)).to_string(), "RunPodSandbox,0x4000");
    }
}
