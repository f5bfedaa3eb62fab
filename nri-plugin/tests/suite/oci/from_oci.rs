//! Types of OCI → messages → the same types of OCI.

use std::fmt::Debug;

use nri_plugin::adjust::{Namespace, Rlimit, SeccompAction, SeccompOperator};
use nri_plugin::api;
use nri_plugin::oci::{env_from_oci, env_to_oci};
use oci_spec::runtime as oci;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

/// A value of OCI, as JSON, whose optional fields are there or not.
type Json = BoxedStrategy<Value>;

fn object(required: &[(&'static str, Json)], optional: &[(&'static str, Json)]) -> Json {
    let required = required.iter().map(|(name, value)| (*name, value.clone().prop_map(Some).boxed()));
    let optional = optional.iter().map(|(name, value)| (*name, of(value.clone()).boxed()));
    let (names, values): (Vec<_>, Vec<_>) = required.chain(optional).unzip();
    let object = move |values: Vec<Option<Value>>| {
        let fields = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Value::Object(fields.collect::<Map<_, _>>())
    };
    values.prop_map(object).boxed()
}

fn i64s() -> Json {
    any::<i64>().prop_map(Value::from).boxed()
}

fn u64s() -> Json {
    any::<u64>().prop_map(Value::from).boxed()
}

fn u32s() -> Json {
    any::<u32>().prop_map(Value::from).boxed()
}

fn bools() -> Json {
    any::<bool>().prop_map(Value::from).boxed()
}

/// Texts are not empty, nor are lists: an empty one comes back as an absent one.
fn texts() -> Json {
    "[a-z=-]{1,4}".prop_map(Value::from).boxed()
}

fn paths() -> Json {
    "/[a-z]{1,4}".prop_map(Value::from).boxed()
}

fn lists(of: Json) -> Json {
    vec(of, 1..3).prop_map(Value::from).boxed()
}

fn maps(of: Json) -> Json {
    btree_map("[a-z.]{1,4}", of, 1..3).prop_map(|map| Value::Object(map.into_iter().collect())).boxed()
}

fn one_of<T: serde::Serialize>(values: &[T]) -> Json {
    select(values.iter().map(|value| serde_json::to_value(value).unwrap()).collect::<Vec<_>>()).boxed()
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(without_nulls).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        value => value,
    }
}

fn there_and_back<Oci, Nri>(json: Value) -> Result<(), TestCaseError>
where
    Oci: for<'a> TryFrom<&'a Nri, Error: Debug> + serde::de::DeserializeOwned + serde::Serialize + PartialEq + Debug,
    Nri: for<'a> TryFrom<&'a Oci, Error: Debug>,
{
    let oci: Oci = serde_json::from_value(json.clone()).unwrap();
    prop_assert_eq!(without_nulls(serde_json::to_value(&oci).unwrap()), json, "a name of a field is none of OCI's");
    let nri = Nri::try_from(&oci).unwrap();
    prop_assert_eq!(Oci::try_from(&nri).unwrap(), oci);
    Ok(())
}

fn hooks() -> Json {
    let hook = object(&[("path", paths())], &[("args", lists(texts())), ("env", lists(texts())), ("timeout", i64s())]);
    let points = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    object(&[], &points.map(|point| (point, lists(hook.clone()))))
}

fn device_rule() -> Json {
    let kind = one_of(&["a", "b", "c", "u", "p"]);
    let optional = [("type", kind), ("major", i64s()), ("minor", i64s()), ("access", texts())];
    object(&[("allow", bools())], &optional)
}

fn resources() -> Json {
    let memory = object(
        &[],
        &[
            ("limit", i64s()),
            ("reservation", i64s()),
            ("swap", i64s()),
            ("kernel", i64s()),
            ("kernelTCP", i64s()),
            ("swappiness", u64s()),
            ("disableOOMKiller", bools()),
            ("useHierarchy", bools()),
        ],
    );
    let cpu = object(
        &[],
        &[
            ("shares", u64s()),
            ("quota", i64s()),
            ("period", u64s()),
            ("realtimeRuntime", i64s()),
            ("realtimePeriod", u64s()),
            ("cpus", texts()),
            ("mems", texts()),
        ],
    );
    let limit = (0..=i64::MAX).prop_map(Value::from).boxed();
    let hugepages = object(&[("pageSize", texts()), ("limit", limit)], &[]);
    object(
        &[],
        &[
            ("memory", memory),
            ("cpu", cpu),
            ("pids", object(&[("limit", i64s())], &[])),
            ("hugepageLimits", lists(hugepages)),
            ("unified", maps(texts())),
            ("devices", lists(device_rule())),
        ],
    )
}

fn seccomp() -> Json {
    let action = one_of(&SeccompAction::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>());
    let operator = one_of(&SeccompOperator::ALL.iter().map(|operator| operator.as_str()).collect::<Vec<_>>());
    let second = (1..=u64::MAX).prop_map(Value::from).boxed();
    let argument = object(&[("index", u32s()), ("value", u64s()), ("op", operator)], &[("valueTwo", second)]);
    let rule = object(
        &[("names", lists(texts())), ("action", action.clone())],
        &[("errnoRet", u32s()), ("args", lists(argument))],
    );
    let architectures = one_of(
        &[
            "NATIVE",
            "X86",
            "X86_64",
            "X32",
            "ARM",
            "AARCH64",
            "MIPS",
            "MIPS64",
            "MIPS64N32",
            "MIPSEL",
            "MIPSEL64",
            "MIPSEL64N32",
            "PPC",
            "PPC64",
            "PPC64LE",
            "S390",
            "S390X",
            "PARISC",
            "PARISC64",
            "RISCV64",
            "LOONGARCH64",
            "M68K",
            "SH",
            "SHEB",
        ]
        .map(|name| format!("SCMP_ARCH_{name}")),
    );
    let flags =
        one_of(&["LOG", "TSYNC", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"].map(|name| format!("SECCOMP_FILTER_FLAG_{name}")));
    object(
        &[("defaultAction", action)],
        &[
            ("defaultErrnoRet", u32s()),
            ("architectures", lists(architectures)),
            ("flags", lists(flags)),
            ("listenerPath", paths()),
            ("listenerMetadata", texts()),
            ("syscalls", lists(rule)),
        ],
    )
}

/// Zeros come back as absent ones.
fn scheduler() -> Json {
    use oci::{LinuxSchedulerFlag as Flag, LinuxSchedulerPolicy as Policy};

    let policies = [
        Policy::SchedOther,
        Policy::SchedFifo,
        Policy::SchedRr,
        Policy::SchedBatch,
        Policy::SchedIso,
        Policy::SchedIdle,
        Policy::SchedDeadline,
    ];
    let flags = [
        Flag::SchedResetOnFork,
        Flag::SchedFlagReclaim,
        Flag::SchedFlagDLOverrun,
        Flag::SchedFlagKeepPolicy,
        Flag::SchedFlagKeepParams,
        Flag::SchedFlagUtilClampMin,
        Flag::SchedFlagUtilClampMax,
    ];
    let number = || (1..=i32::MAX).prop_map(Value::from).boxed();
    let time = || (1..=u64::MAX).prop_map(Value::from).boxed();
    object(
        &[("policy", one_of(&policies))],
        &[
            ("nice", number()),
            ("priority", number()),
            ("flags", lists(one_of(&flags))),
            ("runtime", time()),
            ("deadline", time()),
            ("period", time()),
        ],
    )
}

fn memory_policy() -> Json {
    let modes = ["DEFAULT", "PREFERRED", "BIND", "INTERLEAVE", "LOCAL", "PREFERRED_MANY", "WEIGHTED_INTERLEAVE"];
    let flags = ["STATIC_NODES", "RELATIVE_NODES", "NUMA_BALANCING"];
    object(
        &[("mode", one_of(&modes.map(|name| format!("MPOL_{name}"))))],
        &[("nodes", texts()), ("flags", lists(one_of(&flags.map(|name| format!("MPOL_F_{name}")))))],
    )
}

fn device() -> Json {
    object(
        &[("path", paths()), ("type", one_of(&["a", "b", "c", "u", "p"])), ("major", i64s()), ("minor", i64s())],
        &[("fileMode", u32s()), ("uid", u32s()), ("gid", u32s())],
    )
}

fn mount() -> Json {
    let optional = [("type", texts()), ("source", paths()), ("options", lists(texts()))];
    object(&[("destination", paths())], &optional)
}

fn rdt() -> Json {
    let optional = [("closID", texts()), ("schemata", lists(texts())), ("enableMonitoring", bools())];
    object(&[], &optional)
}

fn user() -> Json {
    object(&[("uid", u32s()), ("gid", u32s())], &[("additionalGids", lists(u32s()))])
}

fn rlimit() -> Json {
    let kinds = one_of(&Rlimit::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
    object(&[("type", kinds), ("hard", u64s()), ("soft", u64s())], &[])
}

fn namespace() -> Json {
    let kinds = one_of(&Namespace::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
    object(&[("type", kinds)], &[("path", paths())])
}

fn io_priority() -> Json {
    let classes = ["RT", "BE", "IDLE"].map(|class| format!("IOPRIO_CLASS_{class}"));
    let priority = any::<i32>().prop_map(Value::from).boxed();
    object(&[("class", one_of(&classes)), ("priority", priority)], &[])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn processes_come_back(mount in mount(), hooks in hooks(), user in user(), rlimit in rlimit()) {
        there_and_back::<oci::Mount, api::Mount>(mount)?;
        there_and_back::<oci::Hooks, api::Hooks>(hooks)?;
        there_and_back::<oci::User, api::User>(user)?;
        there_and_back::<oci::PosixRlimit, api::PosixRlimit>(rlimit)?;
    }

    #[test]
    fn devices_and_namespaces_come_back(
        device in device(),
        rule in device_rule(),
        namespace in namespace(),
        net_device in object(&[], &[("name", texts())]),
    ) {
        there_and_back::<oci::LinuxDevice, api::LinuxDevice>(device)?;
        there_and_back::<oci::LinuxDeviceCgroup, api::LinuxDeviceCgroup>(rule)?;
        there_and_back::<oci::LinuxNamespace, api::LinuxNamespace>(namespace)?;
        there_and_back::<oci::LinuxNetDevice, api::LinuxNetDevice>(net_device)?;
    }

    #[test]
    fn resources_come_back(resources in resources(), rdt in rdt()) {
        there_and_back::<oci::LinuxResources, api::LinuxResources>(resources)?;
        there_and_back::<oci::LinuxIntelRdt, api::LinuxRdt>(rdt)?;
    }

    #[test]
    fn seccomp_policies_come_back(policy in seccomp()) {
        there_and_back::<oci::LinuxSeccomp, api::LinuxSeccomp>(policy)?;
    }

    #[test]
    fn schedules_come_back(scheduler in scheduler(), policy in memory_policy(), priority in io_priority()) {
        there_and_back::<oci::Scheduler, api::LinuxScheduler>(scheduler)?;
        there_and_back::<oci::LinuxMemoryPolicy, api::LinuxMemoryPolicy>(policy)?;
        there_and_back::<oci::LinuxIOPriority, api::LinuxIoPriority>(priority)?;
    }

    #[test]
    fn environments_come_back(env in vec("[A-Z]{0,2}=[a-z=]{0,3}", 0..4)) {
        prop_assert_eq!(env_to_oci(&env_from_oci(&env)).unwrap(), env);
    }
}

#[test]
fn an_environment_is_parted_at_the_first_equals_sign() {
    let pairs = [("A", "b=c"), ("B", ""), ("C", "")]
        .map(|(key, value)| api::KeyValue { key: key.to_owned(), value: value.to_owned() });
    assert_eq!(env_from_oci(&["A=b=c", "B=", "C"]), pairs);
}
