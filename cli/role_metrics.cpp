#include "cli/role_metrics.hpp"

#include "base/clock.hpp"
#include "base/log.hpp"
#include "metrics/certificates.hpp"

namespace cpns::cli {
namespace {

void add_log(metrics::sheet& s) {
  const auto n = log::statistics();
  s.counter("cpns_log_lines_total", "Log lines: written, or dropped because the queue was full.",
            static_cast<double>(n.written), {{"outcome", "written"}});
  s.counter("cpns_log_lines_total", "", static_cast<double>(n.dropped), {{"outcome", "dropped"}});
  s.counter("cpns_log_write_errors_total", "Failed attempts to write log lines; they are repeated.",
            static_cast<double>(n.write_errors));
  s.gauge("cpns_log_queued_lines", "Log lines that wait for the disk.", static_cast<double>(n.queued));
}

}  // namespace

void collect_process(metrics::registry& to, const std::string& role,
                     std::function<std::vector<std::string>()> not_ready) {
  const auto started = unix_seconds(now_wall());
  to.collect([role, started, ask = std::move(not_ready)](metrics::sheet& s) {
    s.gauge("cpns_info", "Always 1; the labels describe the role.", 1,
            {{"role", role}, {"version", CPNS_VERSION}});
    s.gauge("cpns_start_time_seconds", "When the role started, Unix time.", static_cast<double>(started));
    s.gauge("cpns_ready", "1: the role can do its work; GET /health/ready has the reasons of a 0.",
            ask().empty() ? 1 : 0);
    add_log(s);
  });
}

void collect_audit(metrics::registry& to, const audit::trail& trail) {
  to.collect([&trail](metrics::sheet& s) {
    const auto n = trail.statistics();
    s.counter("cpns_audit_lines_total", "Lines of the audit trail that this process wrote.",
              static_cast<double>(n.lines));
    s.counter("cpns_audit_failures_total", "Batches of audit lines that could not be written.",
              static_cast<double>(n.failures));
    s.counter(
        "cpns_audit_refusals_total",
        "Changes that were refused before they began, and reads without rights, with or without a line.",
        static_cast<double>(n.refusals));
    s.gauge("cpns_audit_late_outcomes", "Outcomes of changes that wait for the disk.",
            static_cast<double>(n.late));
    s.gauge("cpns_audit_writable", "0: changes are refused, because the audit trail cannot be written.",
            trail.health().writable ? 1 : 0);
  });
}

void collect_api(metrics::registry& to, const api::http_server& server) {
  to.collect([&server](metrics::sheet& s) {
    const auto n = server.counters();
    for (std::size_t i = 2; i < n.answers.size(); ++i)
      s.counter("cpns_api_answers_total", "Answers of the HTTP API by class of their status.",
                static_cast<double>(n.answers[i]), {{"class", std::to_string(i) + "xx"}});
    s.counter("cpns_api_turned_away_total", "Connections that were turned away because the API had too many.",
              static_cast<double>(n.turned_away));
    s.counter("cpns_api_readers_cut_off_total", "Readers of events that were too slow.",
              static_cast<double>(n.readers_cut_off));
    s.gauge("cpns_api_connections", "Connections of the HTTP API.", static_cast<double>(n.connections));
    s.gauge("cpns_api_event_readers", "Readers of events.", static_cast<double>(n.event_readers));
    for (std::size_t i = 0; i < n.handshake_ends.size(); ++i)
      s.counter("cpns_api_tls_handshakes_total",
                "TLS handshakes of clients of api.listen by outcome: accepted, or the class of the refusal.",
                static_cast<double>(n.handshake_ends[i]), {{"outcome", api::handshake_end_names[i]}});
    metrics::add_certificate_ends(s, "api.tls", server.certificate_ends());
  });
}

}  // namespace cpns::cli
