//! `validatingwebhookconfigurations`

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;

use super::admission::{WEBHOOKS_UNREAD, put_webhook_service};
use super::{Items, Text, instant, put_resource_version};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "validatingwebhookconfigurations";

pub(super) const RESOURCE: Resource<ValidatingWebhookConfiguration> =
    Resource { name: NAME, families: FAMILIES, collect, unread: WEBHOOKS_UNREAD };

family_table! {
    FAMILIES {
        INFO = Family::gauge("kube_validatingwebhookconfiguration_info", "1 for each ValidatingWebhookConfiguration.");
        CREATED = Family::gauge(
            "kube_validatingwebhookconfiguration_created",
            "When the ValidatingWebhookConfiguration was created, in Unix seconds.");
        METADATA_RESOURCE_VERSION = Family::gauge(
            "kube_validatingwebhookconfiguration_metadata_resource_version",
            "The resource version of the ValidatingWebhookConfiguration.");
        WEBHOOK_SERVICE = Family::gauge(
            "kube_validatingwebhookconfiguration_webhook_clientconfig_service",
            "Each validating webhook and the service that it is called at, which is empty for one at a URL.");
    }
}

fn collect(configuration: &ValidatingWebhookConfiguration, s: &mut Samples<'_>) {
    let meta = &configuration.metadata;
    s.identity(&[("namespace", meta.namespace.text()), ("validatingwebhookconfiguration", meta.name.text())]);
    s.put(INFO, &[], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    put_resource_version(s, METADATA_RESOURCE_VERSION, meta, NAME);
    for webhook in configuration.webhooks.items() {
        put_webhook_service(s, WEBHOOK_SERVICE, &webhook.name, &webhook.client_config);
    }
}
