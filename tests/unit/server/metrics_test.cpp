// The metrics of a server that works, over real TLS.
#include <gmock/gmock.h>

#include <thread>

#include "tests/unit/server/role_harness.hpp"

namespace cpns::server_tests {
namespace {

using protocol::assigned_keys;
using testing::HasSubstr;

std::string text_of(const role_harness& p) { return p.role->counted().text(); }

TEST(server_metrics, count_assignments_by_outcome) {
  role_harness p;
  auto g = p.connect();
  EXPECT_THAT(text_of(p), HasSubstr("cpns_server_assignments_total{outcome=\"ok\"} 0\n"));
  body_of<assigned_keys>(g->ask(p.assignment(*g, p.device, p.alice)));
  const person wrong{"alice@example.org", "another horse"};
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, wrong))), link_status::unknown_user_or_bad_proof);
  headset stranger = device_number(5);
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, stranger, p.alice))), link_status::unknown_entity);
  const auto text = text_of(p);
  EXPECT_THAT(text, HasSubstr("cpns_server_assignments_total{outcome=\"ok\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_server_assignments_total{outcome=\"unknown_user_or_bad_proof\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_server_assignments_total{outcome=\"unknown_entity\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_server_users_cached 1\n"));
}

TEST(server_metrics, measure_each_step_of_an_assignment) {
  role_harness p;
  auto g = p.connect();
  body_of<assigned_keys>(g->ask(p.assignment(*g, p.device, p.alice)));
  const auto text = text_of(p);
  for (const auto* step : {"proof", "queue", "store", "whole"})
    EXPECT_THAT(text,
                HasSubstr("cpns_server_assignment_seconds_count{step=\"" + std::string{step} + "\"} 1\n"));
  // The row of the gateway, and that of the entity; one write may have both.
  EXPECT_THAT(text, testing::ContainsRegex("cpns_store_write_seconds_count [12]\n"));
  EXPECT_THAT(text, HasSubstr("cpns_store_write_rows_sum 4\n"));
  EXPECT_THAT(text, HasSubstr("cpns_store_batches_total{outcome=\"written\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("cpns_server_entities_live 1\n"));
}

TEST(server_metrics, count_reported_entries_by_outcome) {
  role_harness p;
  auto g = p.connect();
  const auto keys = body_of<assigned_keys>(g->ask(p.assignment(*g, p.device, p.alice)));
  p.device.keep({1, 0}, keys.eukeys.at(0));
  protocol::epoch_report report;
  report.entries.emplace_back(p.device.entity, epoch{1, 0});
  report.entries.emplace_back(device_number(7).entity, epoch{1, 0});
  body_of<protocol::epoch_report_answer>(g->ask(p.request(report)));
  const auto text = text_of(p);
  EXPECT_THAT(text, HasSubstr("cpns_server_report_entries_total{outcome=\"ok\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_server_report_entries_total{outcome=\"resync\"} 1\n"));
}

TEST(server_metrics, show_the_store_and_the_certificate) {
  role_harness p{true};
  auto g = p.connect();
  ASSERT_TRUE(g->ask(p.request(protocol::issuer_nonce_request{})));
  const auto text = text_of(p);
  EXPECT_THAT(text, HasSubstr("cpns_store_writable 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_server_listening 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_server_connections 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_certificate_end_time_seconds{part=\"own\",setting=\"tls\"}"));
  EXPECT_THAT(text, HasSubstr("cpns_server_tls_handshakes_total{outcome=\"accepted\"} 1\n"));
}

TEST(server_metrics, have_a_store_that_takes_no_writes) {
  role_harness p;
  auto g = p.connect();
  // The row of the gateway is written when it connects.
  const auto until = std::chrono::steady_clock::now() + seconds{10};
  while (text_of(p).find("cpns_store_batches_total{outcome=\"written\"} 1\n") == std::string::npos &&
         std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  p.faulty.fail_writes(errc::store_full);
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::overloaded);
  const auto text = text_of(p);
  EXPECT_THAT(text, HasSubstr("cpns_server_assignments_total{outcome=\"overloaded\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("cpns_store_batches_total{outcome=\"failed\"} 1\n"));
}

}  // namespace
}  // namespace cpns::server_tests
