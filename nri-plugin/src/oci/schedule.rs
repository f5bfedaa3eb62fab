//! Priorities, schedulers and memory policies, which the messages have as numbers.

use oci_spec::runtime as oci;

use super::error::ConversionError;
use super::{each, refused, text};
use crate::api;

fn known<T: TryFrom<i32>>(field: &'static str, number: i32) -> Result<T, ConversionError> {
    T::try_from(number).map_err(|_| ConversionError::Unknown { field, value: number.to_string() })
}

/// The class NONE, by which an adjustment takes the priority away, is an error.
impl TryFrom<&api::LinuxIoPriority> for oci::LinuxIOPriority {
    type Error = ConversionError;

    fn try_from(priority: &api::LinuxIoPriority) -> Result<Self, ConversionError> {
        use api::IoPrioClass as Class;

        let field = "the class of the priority for input and output";
        let class = match known(field, priority.class)? {
            Class::IoprioClassNone => return Err(ConversionError::Cleared { field, value: "IOPRIO_CLASS_NONE" }),
            Class::IoprioClassRt => oci::IOPriorityClass::IoprioClassRt,
            Class::IoprioClassBe => oci::IOPriorityClass::IoprioClassBe,
            Class::IoprioClassIdle => oci::IOPriorityClass::IoprioClassIdle,
        };
        let built = oci::LinuxIOPriorityBuilder::default().class(class).priority(i64::from(priority.priority)).build();
        built.map_err(refused("the priority for input and output"))
    }
}

impl TryFrom<&oci::LinuxIOPriority> for api::LinuxIoPriority {
    type Error = ConversionError;

    fn try_from(oci: &oci::LinuxIOPriority) -> Result<Self, ConversionError> {
        use api::IoPrioClass as Class;

        let class = match oci.class() {
            oci::IOPriorityClass::IoprioClassRt => Class::IoprioClassRt,
            oci::IOPriorityClass::IoprioClassBe => Class::IoprioClassBe,
            oci::IOPriorityClass::IoprioClassIdle => Class::IoprioClassIdle,
        };
        let priority = i32::try_from(oci.priority()).map_err(|_| ConversionError::OutOfRange {
            field: "the priority for input and output",
            value: oci.priority().into(),
            least: i32::MIN.into(),
            most: i32::MAX.into(),
        })?;
        Ok(Self { class: class as i32, priority })
    }
}

/// The policy NONE, by which an adjustment takes the scheduler away, is an error.
impl TryFrom<&api::LinuxScheduler> for oci::Scheduler {
    type Error = ConversionError;

    fn try_from(scheduler: &api::LinuxScheduler) -> Result<Self, ConversionError> {
        use api::LinuxSchedulerPolicy as Policy;
        use oci::LinuxSchedulerPolicy as To;

        let field = "the scheduling policy";
        let policy = match known(field, scheduler.policy)? {
            Policy::SchedNone => return Err(ConversionError::Cleared { field, value: "SCHED_NONE" }),
            Policy::SchedOther => To::SchedOther,
            Policy::SchedFifo => To::SchedFifo,
            Policy::SchedRr => To::SchedRr,
            Policy::SchedBatch => To::SchedBatch,
            Policy::SchedIso => To::SchedIso,
            Policy::SchedIdle => To::SchedIdle,
            Policy::SchedDeadline => To::SchedDeadline,
        };
        let time = |nanoseconds: u64| (nanoseconds != 0).then_some(nanoseconds);
        let mut oci = Self::default();
        oci.set_policy(policy)
            .set_nice((scheduler.nice != 0).then_some(scheduler.nice))
            .set_priority((scheduler.priority != 0).then_some(scheduler.priority))
            .set_flags(each(&scheduler.flags, |flag| known("a scheduling flag", *flag).map(flag_to_oci))?)
            .set_runtime(time(scheduler.runtime))
            .set_deadline(time(scheduler.deadline))
            .set_period(time(scheduler.period));
        Ok(oci)
    }
}

fn flag_to_oci(flag: api::LinuxSchedulerFlag) -> oci::LinuxSchedulerFlag {
    use api::LinuxSchedulerFlag as Flag;
    use oci::LinuxSchedulerFlag as To;

    match flag {
        Flag::SchedFlagResetOnFork => To::SchedResetOnFork,
        Flag::SchedFlagReclaim => To::SchedFlagReclaim,
        Flag::SchedFlagDlOverrun => To::SchedFlagDLOverrun,
        Flag::SchedFlagKeepPolicy => To::SchedFlagKeepPolicy,
        Flag::SchedFlagKeepParams => To::SchedFlagKeepParams,
        Flag::SchedFlagUtilClampMin => To::SchedFlagUtilClampMin,
        Flag::SchedFlagUtilClampMax => To::SchedFlagUtilClampMax,
    }
}

fn flag_from_oci(flag: oci::LinuxSchedulerFlag) -> api::LinuxSchedulerFlag {
    use api::LinuxSchedulerFlag as To;
    use oci::LinuxSchedulerFlag as Flag;

    match flag {
        Flag::SchedResetOnFork => To::SchedFlagResetOnFork,
        Flag::SchedFlagReclaim => To::SchedFlagReclaim,
        Flag::SchedFlagDLOverrun => To::SchedFlagDlOverrun,
        Flag::SchedFlagKeepPolicy => To::SchedFlagKeepPolicy,
        Flag::SchedFlagKeepParams => To::SchedFlagKeepParams,
        Flag::SchedFlagUtilClampMin => To::SchedFlagUtilClampMin,
        Flag::SchedFlagUtilClampMax => To::SchedFlagUtilClampMax,
    }
}

impl From<&oci::Scheduler> for api::LinuxScheduler {
    fn from(oci: &oci::Scheduler) -> Self {
        use api::LinuxSchedulerPolicy as To;
        use oci::LinuxSchedulerPolicy as Policy;

        let policy = match oci.policy() {
            Policy::SchedOther => To::SchedOther,
            Policy::SchedFifo => To::SchedFifo,
            Policy::SchedRr => To::SchedRr,
            Policy::SchedBatch => To::SchedBatch,
            Policy::SchedIso => To::SchedIso,
            Policy::SchedIdle => To::SchedIdle,
            Policy::SchedDeadline => To::SchedDeadline,
        };
        Self {
            policy: policy as i32,
            nice: oci.nice().unwrap_or_default(),
            priority: oci.priority().unwrap_or_default(),
            flags: oci.flags().iter().flatten().map(|flag| flag_from_oci(*flag) as i32).collect(),
            runtime: oci.runtime().unwrap_or_default(),
            deadline: oci.deadline().unwrap_or_default(),
            period: oci.period().unwrap_or_default(),
        }
    }
}

impl TryFrom<&api::LinuxMemoryPolicy> for oci::LinuxMemoryPolicy {
    type Error = ConversionError;

    fn try_from(policy: &api::LinuxMemoryPolicy) -> Result<Self, ConversionError> {
        use api::MpolMode as Mode;
        use oci::MemoryPolicyModeType as To;

        let mode = match known("the mode of a memory policy", policy.mode)? {
            Mode::MpolDefault => To::MpolDefault,
            Mode::MpolPreferred => To::MpolPreferred,
            Mode::MpolBind => To::MpolBind,
            Mode::MpolInterleave => To::MpolInterleave,
            Mode::MpolLocal => To::MpolLocal,
            Mode::MpolPreferredMany => To::MpolPreferredMany,
            Mode::MpolWeightedInterleave => To::MpolWeightedInterleave,
        };
        let flag = |number: &i32| {
            Ok(match known("a flag of a memory policy", *number)? {
                api::MpolFlag::MpolFStaticNodes => oci::MemoryPolicyFlagType::MpolFStaticNodes,
                api::MpolFlag::MpolFRelativeNodes => oci::MemoryPolicyFlagType::MpolFRelativeNodes,
                api::MpolFlag::MpolFNumaBalancing => oci::MemoryPolicyFlagType::MpolFNumaBalancing,
            })
        };
        let mut oci = Self::default();
        oci.set_mode(mode).set_nodes(text(&policy.nodes)).set_flags(each(&policy.flags, flag)?);
        Ok(oci)
    }
}

impl From<&oci::LinuxMemoryPolicy> for api::LinuxMemoryPolicy {
    fn from(oci: &oci::LinuxMemoryPolicy) -> Self {
        use api::MpolMode as To;
        use oci::MemoryPolicyModeType as Mode;

        let mode = match oci.mode() {
            Mode::MpolDefault => To::MpolDefault,
            Mode::MpolPreferred => To::MpolPreferred,
            Mode::MpolBind => To::MpolBind,
            Mode::MpolInterleave => To::MpolInterleave,
            Mode::MpolLocal => To::MpolLocal,
            Mode::MpolPreferredMany => To::MpolPreferredMany,
            Mode::MpolWeightedInterleave => To::MpolWeightedInterleave,
        };
        let flag = |flag: &oci::MemoryPolicyFlagType| match flag {
            oci::MemoryPolicyFlagType::MpolFStaticNodes => api::MpolFlag::MpolFStaticNodes,
            oci::MemoryPolicyFlagType::MpolFRelativeNodes => api::MpolFlag::MpolFRelativeNodes,
            oci::MemoryPolicyFlagType::MpolFNumaBalancing => api::MpolFlag::MpolFNumaBalancing,
        };
        let flags = oci.flags().iter().flatten().map(|each| flag(each) as i32).collect();
        Self { mode: mode as i32, nodes: oci.nodes().clone().unwrap_or_default(), flags }
    }
}
