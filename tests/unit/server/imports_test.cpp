// Imports of devices: options, results, resumption, bounds.

#include <thread>

#include "crypto/key_schedule.hpp"
#include "server/key_text.hpp"
#include "tests/unit/server/import_harness.hpp"

namespace cpns::server_tests {
namespace {

using protocol::import_state;
using lines = std::vector<std::string>;

TEST(imports, write_the_derived_key_and_the_fields_of_a_device) {
  import_harness h;
  const std::string key = "8f14e45fceea167a5a36dedd4bea2541";
  const auto done =
      h.run(list_head + list_row(1, key, "alice"), {.require_presence = false, .batch = "lot7.csv"});
  EXPECT_EQ(done.state(), "done");
  EXPECT_EQ(done.record.imported, 1U);
  const auto found = h.device(1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->temporary_key,
            crypto::derive_temporary_key(crypto::openssl_suite(), found->entity, *from_hex(key)));
  EXPECT_FALSE(found->stretched);
  EXPECT_FALSE(found->require_presence);
  EXPECT_EQ(found->owner->text(), "alice");
  EXPECT_EQ(found->batch, "lot7.csv");
  EXPECT_FALSE(h.device(2));
}

TEST(imports, stretch_a_weak_key) {
  import_harness h;
  EXPECT_EQ(h.run(list_head + device_name(1) + ",text:correct horse,stretch,\n").record.imported, 1U);
  const auto found = h.device(1);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->stretched);
  EXPECT_EQ(found->temporary_key,
            crypto::stretch_temporary_key(crypto::openssl_suite(), found->entity, as_bytes("correct horse")));
}

TEST(imports, write_nothing_when_a_row_is_bad) {
  import_harness h;
  const auto done = h.run(list_head + list_row(1) + "headset,x,128bit,\n" + list_row(3));
  EXPECT_EQ(done.state(), "refused");
  EXPECT_EQ(done.record.imported, 0U);
  EXPECT_EQ(done.record.bad, 1U);
  EXPECT_TRUE(h.results().at(0).starts_with("3 the entity_id has no known scheme")) << h.results().at(0);
  EXPECT_EQ(h.devices(), 0U);
  ASSERT_EQ(h.log.ends.size(), 1U);
  EXPECT_EQ(h.log.ends[0].how, "1 row cannot be used");
}

TEST(imports, write_the_good_rows_when_partial) {
  import_harness h;
  const auto done = h.run(list_head + list_row(1) + "headset,x,128bit,\n" + list_row(3), {.partial = true});
  EXPECT_EQ(done.state(), "done");
  EXPECT_EQ(done.record.imported, 2U);
  EXPECT_EQ(done.record.bad, 1U);
  EXPECT_EQ(h.devices(), 2U);
}

TEST(imports, refuse_constant_and_shared_keys_unless_allowed) {
  import_harness h;
  const std::string zeros(32, '0'), shared = "8f14e45fceea167a5a36dedd4bea2543";
  const auto text = list_head + list_row(1, zeros) + list_row(2, shared) + list_row(5) +
                    list_row(4, "hex:" + shared) + list_row(6, shared) + list_row(5);
  const auto done = h.run(text, {.partial = true});
  EXPECT_EQ(done.record.imported, 1U);
  EXPECT_EQ(
      h.results(),
      (lines{"2 the temporary key is a constant, which is easy to guess; allow_constant (--allow-constant) "
             "accepts it",
             "3 the device in line 5 has the same temporary key: the key of one opens both; allow_repeats "
             "(--allow-repeats) "
             "accepts it",
             "5 the device in line 3 has the same temporary key: the key of one opens both; allow_repeats "
             "(--allow-repeats) "
             "accepts it",
             "6 the device in line 3 has the same temporary key: the key of one opens both; allow_repeats "
             "(--allow-repeats) "
             "accepts it",
             "7 the device is in line 4 already"}));
  const auto allowed = h.run(list_head + list_row(1, zeros) + list_row(2, shared) + list_row(4, shared),
                             {.allow_constant = true, .allow_repeats = true}, "again");
  EXPECT_EQ(allowed.record.imported, 3U);
}

TEST(imports, warn_of_owners_that_are_not_users) {
  import_harness h;
  ASSERT_TRUE(h.sealed->write(
      {{storage::table::users, to_bytes(as_bytes("alice")), secret_bytes::from_text("a record")}}));
  const auto done = h.run(list_head + list_row(1, {}, "alice") + list_row(2, {}, "alcie"));
  EXPECT_EQ(done.record.imported, 2U);
  EXPECT_EQ(done.record.warnings, 1U);
  EXPECT_EQ(done.record.bad, 0U);
  ASSERT_EQ(h.results().size(), 1U);
  EXPECT_TRUE(h.results()[0].starts_with("3 warning: the owner alcie is not a user of this server"));
}

TEST(imports, report_known_devices_in_the_order_of_lines_or_replace_them) {
  import_harness h;
  ASSERT_EQ(h.run(list_head + list_row(2), {.batch = "old"}, "a").record.imported, 1U);
  const auto again =
      h.run(list_head + list_row(1) + list_row(2) + "headset,x,128bit,\n", {.batch = "new"}, "b");
  EXPECT_EQ(again.record.bad, 2U);
  ASSERT_EQ(h.results("b").size(), 2U);
  EXPECT_EQ(h.results("b")[0], "3 the device is already in the store; --replace gives it the new key");
  EXPECT_TRUE(h.results("b")[1].starts_with("4 "));
  EXPECT_EQ(h.devices(), 1U);
  EXPECT_EQ(
      h.run(list_head + list_row(1) + list_row(2), {.replace = true, .batch = "new"}, "c").record.imported,
      2U);
  EXPECT_EQ(h.device(2)->batch, "new");
}

TEST(imports, show_no_device_before_the_end_and_leave_nothing_when_cancelled) {
  import_harness h;
  const auto before = h.rows_in(storage::table::imports);
  const auto text = list_of(2500);
  ASSERT_TRUE(h.imports->create("lot7", {}));
  ASSERT_TRUE(h.imports->receive("lot7", 0, source_of(text)));
  EXPECT_EQ(h.devices(), 0U);
  EXPECT_GT(h.rows_in(storage::table::imports), before + 3);
  ASSERT_TRUE(h.imports->forget("lot7"));
  EXPECT_EQ(h.rows_in(storage::table::imports), before + 1) << "the empty index";
  EXPECT_EQ(h.imports->find("lot7").error().code, errc::state_unknown);
  EXPECT_EQ(h.imports->forget("lot7").error().code, errc::state_unknown);
  EXPECT_EQ(h.run(text).record.imported, 2500U) << "the name is free";
  EXPECT_EQ(h.rows_in(storage::table::imports), before + 2) << "the staged keys are erased";
}

TEST(imports, take_bytes_by_their_offset) {
  import_harness h;
  const auto text = list_of(3000);
  ASSERT_TRUE(h.imports->create("lot7", {}));
  const auto half = text.substr(0, text.size() / 2 + 7);
  EXPECT_EQ(h.imports->receive("lot7", 0, source_of(half))->record.bytes, half.size());
  EXPECT_EQ(h.imports->receive("lot7", 0, source_of(half))->record.bytes, half.size()) << "a repetition";
  EXPECT_EQ(h.imports->receive("lot7", half.size() + 1, source_of(text)).error().code, errc::state_conflict);
  EXPECT_EQ(h.imports->finish("lot7", h.who, text.size()).error().code, errc::state_conflict);
  h.restart();
  EXPECT_EQ(h.imports->find("lot7")->record.bytes, half.size());
  const auto overlap = text.substr(half.size() - 100);
  EXPECT_EQ(h.imports->receive("lot7", half.size() - 100, source_of(overlap))->record.bytes, text.size());
  ASSERT_TRUE(h.imports->finish("lot7", h.who, text.size()));
  EXPECT_EQ(h.imports->wait("lot7")->record.imported, 3000U);
  EXPECT_EQ(h.devices(), 3000U);
  EXPECT_EQ(h.imports->receive("lot7", 0, source_of(text)).error().code, errc::state_conflict)
      << "it has ended";
}

TEST(imports, keep_the_bytes_before_a_broken_connection) {
  import_harness h;
  const auto text = list_of(100);
  ASSERT_TRUE(h.imports->create("lot7", {}));
  auto bytes = source_of(text, 99);
  int reads = 0;
  const auto broken = h.imports->receive("lot7", 0, [&](std::span<std::uint8_t> to) -> result<std::size_t> {
    if (++reads > 10) return fail(errc::peer_closed, "cut");
    return bytes(to);
  });
  EXPECT_EQ(broken.error().code, errc::peer_closed);
  h.restart();
  EXPECT_EQ(h.imports->find("lot7")->record.bytes, 990U);
  ASSERT_TRUE(h.imports->receive("lot7", 990, source_of(text.substr(990))));
  EXPECT_EQ(h.end().record.imported, 100U);
}

TEST(imports, refuse_a_list_of_a_wrong_form_as_a_whole) {
  import_harness h;
  ASSERT_TRUE(h.imports->create("lot7", {}));
  const auto wrong = h.imports->receive("lot7", 0, source_of(list_of(5) + std::string(5000, 'x')));
  EXPECT_EQ(wrong.error().code, errc::config_range);
  EXPECT_TRUE(wrong.error().detail.starts_with("line 7: the line is longer")) << wrong.error().detail;
  const auto now = h.imports->find("lot7").value();
  EXPECT_EQ(now.state(), "refused");
  EXPECT_EQ(now.record.fault_line, 7U);
  EXPECT_EQ(now.record.fault_code, "config-range");
  EXPECT_EQ(h.run(list_head, {}, "empty").record.fault_text, "the file lists no device");
  EXPECT_EQ(h.devices(), 0U);
  EXPECT_TRUE(h.log.intents.empty()) << "nothing was asked for yet";
}

TEST(imports, count_the_bad_rows_and_keep_the_first_ones) {
  import_harness h;
  auto text = list_head + list_row(1) + list_row(1);
  for (int n = 0; n < 30'000; ++n) text += "x\n";
  const auto done = h.run(text, {.partial = true});
  EXPECT_EQ(done.record.imported, 1U);
  EXPECT_EQ(done.record.bad, 30'001U);
  EXPECT_EQ(done.record.results_kept, server::results_kept_max);
  const auto all = h.results();
  ASSERT_EQ(all.size(), server::results_kept_max);
  EXPECT_EQ(all[0], "3 the device is in line 2 already") << "found last, but in the order of lines";
  EXPECT_TRUE(all.back().starts_with("10002 ")) << all.back();
  EXPECT_EQ(h.imports->results("lot7", 300, 2)->at(1).line, 304U);
}

TEST(imports, record_the_decision_before_it_with_counts_and_a_digest) {
  import_harness h;
  const std::string key = "8f14e45fceea167a5a36dedd4bea2543";
  const auto text = list_head + list_row(7, key, "alice") + "headset,x,128bit,\n";
  h.log.broken = true;
  const auto stuck = h.run(text, {.partial = true, .batch = "lot7.csv"});
  EXPECT_EQ(stuck.state(), "receiving");
  ASSERT_TRUE(stuck.problem);
  EXPECT_EQ(stuck.problem->code, "audit-unwritable");
  EXPECT_EQ(h.devices(), 0U) << "a change that cannot be recorded does not happen";
  h.log.broken = false;
  EXPECT_EQ(h.end().record.imported, 1U);
  ASSERT_EQ(h.log.intents.size(), 1U);
  EXPECT_EQ(h.log.intents[0].action, "device-import");
  EXPECT_EQ(h.log.intents[0].object, "lot7.csv");
  EXPECT_EQ(h.log.intents[0].request_id, "r-1");
  const auto& wanted = h.log.intents[0].wanted.as_object();
  EXPECT_EQ(wanted.at("rows").to_number<int>(), 1);
  EXPECT_EQ(wanted.at("bad_rows").to_number<int>(), 1);
  EXPECT_EQ(wanted.at("sha256").as_string(),
            to_hex(crypto::openssl_suite().sha256(as_bytes(device_name(7) + "\t128bit\talice\n"))));
  ASSERT_EQ(h.log.ends.size(), 1U);
  EXPECT_EQ(h.log.ends[0].how, "done");
  EXPECT_EQ(h.log.ends[0].after.at("imported").to_number<int>(), 1);
  EXPECT_EQ(h.log.ends[0].after.at("left_out").to_number<int>(), 1);
}

TEST(imports, are_bounded_and_named) {
  import_harness h;
  for (const auto* wrong : {"a b", "a/b", "\xc3\xa4"})
    EXPECT_EQ(h.imports->create(wrong, {}).error().code, errc::config_usage);
  EXPECT_EQ(h.imports->create(std::string(65, 'a'), {}).error().code, errc::config_usage);
  const auto drawn = h.imports->create({}, {}).value().record.name;
  EXPECT_EQ(drawn.size(), 12U);
  EXPECT_EQ(h.imports->create(drawn, {}).error().code, errc::state_exists);
  for (std::size_t n = 1; n < server::imports_open_max; ++n) ASSERT_TRUE(h.imports->create({}, {}));
  EXPECT_EQ(h.imports->create({}, {}).error().code, errc::state_exhausted);
  h.now = h.now.load() + server::import_idle_max + seconds{1};
  ASSERT_TRUE(h.imports->create("next", {})) << "imports without bytes for a week are cancelled";
  EXPECT_EQ(h.imports->list({}, 100).size(), 1U);
}

TEST(imports, are_cancelled_after_a_week_without_bytes_though_nobody_creates_another) {
  import_harness h;
  h.imports.reset();
  h.start(milliseconds{10});
  ASSERT_TRUE(h.imports->create("idle", {}));
  ASSERT_TRUE(h.imports->receive("idle", 0, source_of(list_of(10))));
  h.run(list_of(3), {}, "done");
  h.now = h.now.load() + server::import_idle_max + seconds{1};
  const auto until = std::chrono::steady_clock::now() + seconds{20};
  while (h.imports->find("idle") && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_FALSE(h.imports->find("idle"));
  EXPECT_EQ(h.rows_in(storage::table::imports), 2U) << "the index and the import that has ended";
  EXPECT_TRUE(h.imports->find("done"));
}

TEST(imports, forget_the_oldest_that_ended) {
  import_harness h;
  for (std::size_t n = 0; n <= server::imports_kept_max; ++n)
    ASSERT_EQ(h.run(list_head + list_row(static_cast<int>(n)), {}, "n" + std::to_string(n)).state(), "done");
  EXPECT_FALSE(h.imports->find("n0"));
  const auto all = h.imports->list({}, 1000);
  EXPECT_EQ(all.size(), server::imports_kept_max);
  EXPECT_EQ(h.imports->list(all[1].record.name, 1).at(0).record.name, all[2].record.name);
  EXPECT_EQ(h.rows_in(storage::table::imports), server::imports_kept_max + 1);
}

}  // namespace
}  // namespace cpns::server_tests
