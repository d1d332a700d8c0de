//! What tells Grafana where the boards are, and where Prometheus is.

use crate::File;

/// The folder of the boards where Grafana runs.
const BOARDS: &str = "/var/lib/grafana/dashboards/tidegate";

/// The files, as Grafana looks for them in its folder `provisioning`.
pub(crate) fn files() -> [File; 2] {
    let boards = format!(
        "# Made by tidegate. Grafana reads it from its folder provisioning/dashboards.\n\
         apiVersion: 1\n\
         providers:\n\
         \x20 - name: tidegate\n\
         \x20   folder: Tidegate\n\
         \x20   type: file\n\
         \x20   allowUiUpdates: false\n\
         \x20   options:\n\
         \x20     path: {BOARDS}\n"
    );
    let source = "# Made by tidegate. Grafana reads it from its folder provisioning/datasources. timeInterval is the scrape\n\
                  # interval of Prometheus: $__rate_interval is four times that.\n\
                  apiVersion: 1\n\
                  datasources:\n\
                  \x20 - name: Prometheus\n\
                  \x20   type: prometheus\n\
                  \x20   access: proxy\n\
                  \x20   url: http://127.0.0.1:9090\n\
                  \x20   isDefault: true\n\
                  \x20   jsonData:\n\
                  \x20     timeInterval: 2s\n";
    [
        File::new("provisioning/dashboards/tidegate.yaml", boards),
        File::new("provisioning/datasources/prometheus.yaml", source.into()),
    ]
}
