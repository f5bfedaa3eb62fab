//! The members that nodes, pods and containers have in common: processor, memory, swap and pressure.

use serde::de::MapAccess;

use super::columns::{Columns, one};
use super::context::Context;
use super::walk::{Object, amount, ignore, object, time};
use super::{Amount, CpuStats, Extra, MemoryStats, Parts, Pressure, Psi, Run, SwapStats, Time};

impl Object for Psi {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        match key {
            "full" => object("full", &mut self.full, map, context).map(drop),
            "some" => object("some", &mut self.some, map, context).map(drop),
            _ => ignore(map),
        }
    }
}

/// `cpu`, `memory` or `io`, whose pressure goes elsewhere than its figures.
#[derive(Debug, Default)]
struct WithPsi<T> {
    time: Option<Time>,
    figures: T,
    psi: Psi,
}

impl<T: Figures> Object for WithPsi<T> {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        match key {
            "time" => time("time", &mut self.time, map, context),
            "psi" if context.parts.contains(Parts::PRESSURE) => object("psi", &mut self.psi, map, context).map(drop),
            _ => match self.figures.figure(key).filter(|_| context.parts.contains(T::PART)) {
                Some((key, into)) => amount(key, into, map, context),
                None => ignore(map),
            },
        }
    }
}

/// The counts beside pressure.
trait Figures: Default {
    const PART: Parts;

    fn figure(&mut self, key: &str) -> Option<(&'static str, &mut Amount)>;

    fn at(self, time: Option<Time>) -> Self;
}

impl Figures for CpuStats {
    const PART: Parts = Parts::CPU;

    fn figure(&mut self, key: &str) -> Option<(&'static str, &mut Amount)> {
        Some(match key {
            "usageNanoCores" => ("usageNanoCores", &mut self.usage_nano_cores),
            "usageCoreNanoSeconds" => ("usageCoreNanoSeconds", &mut self.usage_core_nano_seconds),
            _ => return None,
        })
    }

    fn at(self, time: Option<Time>) -> Self {
        Self { time, ..self }
    }
}

impl Figures for MemoryStats {
    const PART: Parts = Parts::MEMORY;

    fn figure(&mut self, key: &str) -> Option<(&'static str, &mut Amount)> {
        Some(match key {
            "availableBytes" => ("availableBytes", &mut self.available_bytes),
            "usageBytes" => ("usageBytes", &mut self.usage_bytes),
            "workingSetBytes" => ("workingSetBytes", &mut self.working_set_bytes),
            "rssBytes" => ("rssBytes", &mut self.rss_bytes),
            "pageFaults" => ("pageFaults", &mut self.page_faults),
            "majorPageFaults" => ("majorPageFaults", &mut self.major_page_faults),
            _ => return None,
        })
    }

    fn at(self, time: Option<Time>) -> Self {
        Self { time, ..self }
    }
}

/// `io` has nothing but its pressure.
impl Figures for () {
    const PART: Parts = Parts::PRESSURE;

    fn figure(&mut self, _: &str) -> Option<(&'static str, &mut Amount)> {
        None
    }

    fn at(self, _: Option<Time>) -> Self {}
}

/// The members that nodes, pods and containers have in common.
pub(super) struct Usage<'a> {
    pub(super) cpu: &'a mut CpuStats,
    pub(super) memory: &'a mut MemoryStats,
    pub(super) extra: &'a mut Run<Extra>,
}

impl Usage<'_> {
    /// Takes a member that is one of these, or passes over it.
    pub(super) fn member<'de, A: MapAccess<'de>>(
        self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        let parts = context.parts;
        match key {
            "cpu" if parts.intersects(Parts::CPU | Parts::PRESSURE) => {
                *self.cpu = with_psi("cpu", self.extra, |pressure| &mut pressure.cpu, map, context)?;
            }
            "memory" if parts.intersects(Parts::MEMORY | Parts::PRESSURE) => {
                *self.memory = with_psi("memory", self.extra, |pressure| &mut pressure.memory, map, context)?;
            }
            "io" if parts.contains(Parts::PRESSURE) => {
                with_psi::<(), _>("io", self.extra, |pressure| &mut pressure.io, map, context)?;
            }
            "swap" if parts.contains(Parts::SWAP) => {
                let mut swap = SwapStats::default();
                object("swap", &mut swap, map, context)?;
                extra(self.extra, swap != SwapStats::default(), context, |extra| extra.swap = swap);
            }
            _ => ignore(map)?,
        }
        Ok(())
    }
}

fn with_psi<'de, T: Figures, A: MapAccess<'de>>(
    member: &'static str,
    extra: &mut Run<Extra>,
    place: fn(&mut Pressure) -> &mut Psi,
    map: &mut A,
    context: &mut Context,
) -> Result<T, A::Error> {
    let mut read = WithPsi::<T>::default();
    object(member, &mut read, map, context)?;
    if read.psi != Psi::default() {
        let Columns { extras, pressures, .. } = &mut context.columns;
        if let Some(pressure) = one(extras, extra).and_then(|extra| one(pressures, &mut extra.pressure)) {
            *place(pressure) = Psi { time: read.time, ..read.psi };
        }
    }
    let time = if context.parts.contains(T::PART) { read.time } else { None };
    Ok(read.figures.at(time))
}

/// Sets something seldom, if it is there or has been there.
pub(super) fn extra(into: &mut Run<Extra>, needed: bool, context: &mut Context, set: impl FnOnce(&mut Extra)) {
    if (needed || into.count > 0)
        && let Some(extra) = one(&mut context.columns.extras, into)
    {
        set(extra);
    }
}
