//! `limitranges`

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeSpec};

use super::amounts::put_raw_amounts;
use super::{Items, Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "limitranges";

pub(super) const RESOURCE: Resource<LimitRange> =
    Resource { name: NAME, families: FAMILIES, collect, unread: &["metadata.managedFields"] };

family_table! {
    FAMILIES {
        LIMIT_RANGE = Family::gauge(
            "kube_limitrange", "Each constraint of the LimitRange: for what, on which resource, and how much.").stable();
        CREATED = Family::gauge("kube_limitrange_created", "When the LimitRange was created, in Unix seconds.")
            .stable();
    }
}

fn collect(range: &LimitRange, s: &mut Samples<'_>) {
    let meta = &range.metadata;
    let spec = part::<LimitRangeSpec>(&range.spec);
    s.identity(&[("namespace", meta.namespace.text()), ("limitrange", meta.name.text())]);
    for limit in spec.limits.items() {
        let constraints = [
            ("min", &limit.min),
            ("max", &limit.max),
            ("default", &limit.default),
            ("defaultRequest", &limit.default_request),
            ("maxLimitRequestRatio", &limit.max_limit_request_ratio),
        ];
        for (constraint, amounts) in constraints {
            let labels = [("type", limit.type_.text()), ("constraint", constraint)];
            put_raw_amounts(s, LIMIT_RANGE, amounts.as_ref(), &labels, NAME);
        }
    }
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
}
