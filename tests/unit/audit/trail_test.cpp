// What the trail writes and when, and a start after a crash at each step.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <limits>

#include "audit/server_states.hpp"
#include "audit/trail_file.hpp"
#include "support.hpp"

namespace cpns::audit {
namespace {

namespace fs = std::filesystem;

TEST_F(trail_test, writes_the_intent_before_the_change_and_the_outcome_after_it) {
  const auto t = must_open();
  ASSERT_EQ(lines().size(), 1U);
  auto c = add("alice");
  c.who.gid = 100;
  c.who.pid = 4711;
  c.who.user = "root";
  c.who.executable = "/usr/bin/curl";
  auto ticket = t->begin(c);
  ASSERT_TRUE(ticket);
  EXPECT_EQ(ticket->number(), 2U);
  ASSERT_EQ(lines().size(), 2U) << "the intent is in the file when begin() returns";
  EXPECT_EQ(head().head.number, 2U);
  ASSERT_EQ(head().open.size(), 1U);
  ASSERT_TRUE(t->finish(std::move(*ticket), {verdict::failed, "the disk is full"}));
  EXPECT_TRUE(head().open.empty());
  const auto all = objects();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(text(all[0], "kind"), "began");
  const auto& intent = all[1];
  EXPECT_EQ(text(intent, "kind"), "intent");
  EXPECT_EQ(text(intent, "time"), "2027-01-15T08:00:00.123Z");
  EXPECT_EQ(text(intent, "request"), "r-alice");
  EXPECT_EQ(text(intent, "via"), "socket");
  EXPECT_EQ(text(intent, "action"), "user-add");
  EXPECT_EQ(text(intent, "object"), "alice");
  EXPECT_TRUE(intent.at("before").is_null());
  EXPECT_EQ(text(intent.at("after").as_object(), "created"), "now");
  const auto& who = intent.at("who").as_object();
  EXPECT_EQ(who.at("uid").as_int64(), 1000);
  EXPECT_EQ(who.at("pid").as_int64(), 4711);
  EXPECT_EQ(text(who, "executable"), "/usr/bin/curl");
  EXPECT_FALSE(who.contains("certificate"));
  const auto& ended = all[2];
  EXPECT_EQ(text(ended, "kind"), "outcome");
  EXPECT_EQ(ended.at("intent").as_int64(), 2);
  EXPECT_EQ(text(ended, "outcome"), "failed");
  EXPECT_EQ(text(ended, "reason"), "the disk is full");
  EXPECT_EQ(text(ended, "previous"), text(intent, "mac"));
  EXPECT_EQ(fault(), "whole");
}

TEST_F(trail_test, creates_the_file_for_its_owner_alone_and_refuses_one_that_others_can_use) {
  fill(1);
  struct stat about {};
  ASSERT_EQ(::stat(file.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777U, 0600U);
  for (const mode_t mode : {0640U, 0600U, 0400U}) {
    ::chmod(file.c_str(), mode | S_IWUSR);
    EXPECT_TRUE(open()) << std::oct << mode;
  }
  for (const mode_t mode : {0604U, 0620U, 0602U}) {
    ::chmod(file.c_str(), mode);
    const auto t = open();
    ASSERT_FALSE(t) << std::oct << mode;
    EXPECT_EQ(t.error().code, errc::config_file);
    EXPECT_TRUE(has(t.error().detail, "chmod 640 " + file.string())) << t.error().detail;
  }
}

TEST_F(trail_test, refuses_a_path_that_is_no_file_of_its_own) {
  fs::create_directory(file);
  EXPECT_EQ(open().error().code, errc::config_file);
  fs::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_TRUE(has(open().error().detail, "not a regular file"));
  fs::remove(file);
  fs::create_symlink(folder / "elsewhere", file);
  EXPECT_TRUE(has(open().error().detail, "symbolic link"));
  fs::remove(file);
  file = folder / "none" / "audit.jsonl";
  EXPECT_TRUE(has(open().error().detail, "No such file or directory"));
}

TEST_F(trail_test, is_locked_against_another_role) {
  const auto t = must_open();
  storage::memory_store other_memory;
  const auto other = storage::sealed_store::open(other_memory, *protector, random).value();
  const auto second = trail::open(file, store_anchor(*other), random, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::store_locked);
  // A check opens and closes the file; the lock must survive that.
  ASSERT_TRUE(t->check({}));
  EXPECT_EQ(trail::open(file, store_anchor(*other), random, {}).error().code, errc::store_locked);
}

TEST_F(trail_test, writes_nothing_at_a_start_that_finds_all_in_order) {
  fill(2);
  const auto before = read_file(file);
  const auto writes = under.writes();
  fill(0);
  EXPECT_EQ(read_file(file), before);
  EXPECT_EQ(under.writes(), writes);
}

TEST_F(trail_test, does_nothing_without_a_file) {
  file.clear();
  const auto t = must_open();
  auto ticket = t->begin(add("alice"));
  ASSERT_TRUE(ticket);
  EXPECT_EQ(ticket->number(), 0U);
  EXPECT_TRUE(t->finish(std::move(*ticket), {}));
  t->refused(add("bob"), "no rights");
  t->tick();
  EXPECT_TRUE(t->reopen());
  EXPECT_TRUE(t->check({})->whole());
  EXPECT_FALSE(store_anchor(*sealed)->load().value().has_value());
}

TEST_F(trail_test, records_a_change_whose_code_gives_no_outcome_as_unknown) {
  const auto t = must_open();
  { const auto lost = t->begin(add("alice")); }
  const auto all = objects();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(text(all[2], "outcome"), "unknown");
  auto first = t->begin(add("bob")).value();
  first = t->begin(add("carol")).value();  // replaces bob's ticket
  EXPECT_EQ(text(objects().at(5), "object"), "bob");
  EXPECT_TRUE(t->finish(std::move(first), {}));
  EXPECT_EQ(objects().size(), 7U);
  EXPECT_EQ(t->statistics().open, 0U);
}

TEST_F(trail_test, closes_each_open_change_at_the_next_start_as_the_store_tells) {
  killed([this] {
    const auto t = must_open();
    const auto a = t->begin(add("alice")), b = t->begin(add("bob"));
    ASSERT_TRUE(a && b);
    remember();
  });
  ASSERT_EQ(lines().size(), 3U);
  std::vector<unfinished> asked;
  const auto t = must_open([&asked](const unfinished& u) -> outcome {
    asked.push_back(u);
    return u.object == "alice" ? outcome{verdict::done}
                               : outcome{verdict::not_done, "the user does not exist"};
  });
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].number, 2U);
  EXPECT_EQ(asked[0].request, "r-alice");
  EXPECT_EQ(asked[0].action, "user-add");
  EXPECT_TRUE(asked[0].before.is_null());
  EXPECT_EQ(text(asked[0].after.as_object(), "created"), "now");
  const auto all = objects();
  ASSERT_EQ(all.size(), 5U);
  EXPECT_EQ(text(all[3], "outcome"), "done");
  EXPECT_EQ(text(all[4], "outcome"), "not_done");
  for (const auto i : {3U, 4U}) {
    EXPECT_EQ(all[i].at("intent").as_int64(), i - 1);
    EXPECT_TRUE(all[i].at("recovered").as_bool());
  }
  EXPECT_EQ(fault(), "whole");
}

TEST_F(trail_test, takes_in_lines_that_a_crash_left_between_file_and_store) {
  fill(1);
  const auto before = head();
  { make_change(*must_open(), "bob"); }
  const auto text_before = read_file(file);
  ASSERT_TRUE(store_anchor(*sealed)->save(before));  // the crash
  const auto r = report();
  EXPECT_TRUE(r.whole());
  ASSERT_EQ(r.remarks.size(), 1U);
  EXPECT_TRUE(has(r.remarks[0], "lines 4 to 5: genuine, and not yet known to the store")) << r.remarks[0];
  fill(0);
  EXPECT_EQ(read_file(file), text_before) << "such a crash is not worth a line";
  EXPECT_EQ(head().head.number, 5U);
  EXPECT_EQ(fault(), "whole");
}

TEST_F(trail_test, begins_with_the_first_line_again_if_the_crash_was_before_the_store_knew_it) {
  fill(0);
  auto c = head();
  c.head = {};
  ASSERT_TRUE(store_anchor(*sealed)->save(c));
  fill(1);
  EXPECT_EQ(lines().size(), 3U);
  EXPECT_EQ(fault(), "whole");
}

TEST_F(trail_test, keeps_an_incomplete_line_and_records_it) {
  fill(1);
  const auto whole = read_file(file);
  { make_change(*must_open(), "bob"); }
  const auto batch = read_file(file).substr(whole.size());
  const auto after = head();
  auto before = after;
  before.head = read_line(split_lines(whole).back(), after.key)->at;
  // A power cut leaves any part of a batch; the whole lines in it count.
  for (std::size_t cut = 1; cut < batch.size(); cut += 7) {
    write_file(file, whole + batch.substr(0, cut));
    ASSERT_TRUE(store_anchor(*sealed)->save(before));
    EXPECT_EQ(fault(), "whole") << cut;
    fill(1);
    const auto now_there = read_file(file);
    EXPECT_TRUE(now_there.starts_with(whole + batch.substr(0, cut))) << "nothing is removed";
    EXPECT_EQ(fault(), "whole") << cut;
    const auto ended = batch.substr(0, cut).rfind('\n');
    const auto rest = ended == std::string::npos ? cut : cut - ended - 1;
    if (rest == 0) continue;
    const auto found = now_there.find("\"kind\":\"repaired\"");
    ASSERT_NE(found, std::string::npos) << cut;
    EXPECT_TRUE(has(now_there, "\"incomplete_bytes\":" + std::to_string(rest))) << cut;
    const auto r = report();
    ASSERT_EQ(r.remarks.size(), 1U);
    EXPECT_TRUE(has(r.remarks[0], "left incomplete")) << r.remarks[0];
  }
}

TEST_F(trail_test, records_zeros_and_line_ends_that_a_power_cut_left) {
  for (const auto& junk : {std::string(5000, '\0'), std::string("\n"), std::string("\n\n{}\n"),
                           std::string(100'000, 'x') + "\n", std::string(40'000, 'y')}) {
    fill(1);
    const auto whole = read_file(file);
    write_file(file, whole + junk);
    fill(1);
    EXPECT_TRUE(read_file(file).starts_with(whole + junk));
    EXPECT_EQ(fault(), "whole");
  }
  const auto r = report();
  EXPECT_EQ(r.remarks.size(), 5U);
}

TEST_F(trail_test, says_that_the_end_of_the_file_was_cut) {
  fill(3);
  auto all = lines();
  all.resize(4);
  write_file(file, joined(all));
  EXPECT_TRUE(has(fault(), "lines 5 to 7 at the end: missing")) << fault();
  fill(1);
  const auto now_there = objects();
  ASSERT_EQ(now_there.size(), 7U);
  EXPECT_EQ(text(now_there[4], "kind"), "repaired");
  EXPECT_EQ(now_there[4].at("number").as_int64(), 8);
  EXPECT_EQ(now_there[4].at("found").as_object().at("lines_end_with").as_int64(), 4);
  EXPECT_TRUE(has(fault(), "lines 5 to 7: missing before this one")) << "the gap stays visible";
}

TEST_F(trail_test, says_that_the_store_is_older_than_the_file) {
  fill(1);
  const auto old = head();
  fill(100);
  ASSERT_TRUE(store_anchor(*sealed)->save(old));
  EXPECT_TRUE(has(fault(), "the store is older than the file")) << fault();
  fill(0);
  const auto all = objects();
  EXPECT_EQ(text(all.back(), "kind"), "repaired");
  EXPECT_EQ(all.back().at("found").as_object().at("store_knew_line").as_int64(), 3);
  EXPECT_EQ(all.back().at("number").as_int64(), 204) << "no number is used twice";
  EXPECT_EQ(fault(), "whole");
}

TEST_F(trail_test, begins_another_chain_after_lines_of_another_store) {
  fill(2);
  const auto foreign = read_file(file);
  storage::memory_store fresh;
  sealed = storage::sealed_store::open(fresh, *protector, random).value();
  fill(1);
  EXPECT_TRUE(read_file(file).starts_with(foreign));
  const auto all = objects();
  EXPECT_EQ(text(all[5], "kind"), "began");
  EXPECT_EQ(all[5].at("found").as_object().at("foreign_bytes").as_int64(),
            static_cast<std::int64_t>(foreign.size()));
  EXPECT_TRUE(has(fault(), "these 5 lines were changed, or not written by this role")) << fault();
}

TEST_F(trail_test, goes_on_after_a_rotation_by_name_without_a_signal) {
  const auto t = must_open();
  make_change(*t, "alice");
  fs::rename(file, folder / "audit.jsonl.1");
  make_change(*t, "bob");
  EXPECT_EQ(lines().size(), 2U);
  const auto older = folder / "audit.jsonl.1";
  EXPECT_EQ(split_lines(read_file(older)).size(), 3U);
  const auto r = t->check({older});
  ASSERT_TRUE(r);
  EXPECT_TRUE(r->whole());
  EXPECT_EQ(r->first, 1U);
  EXPECT_EQ(r->last, 5U);
  EXPECT_EQ(r->files.size(), 2U);
  const auto alone = t->check({});
  EXPECT_TRUE(alone->whole());
  EXPECT_EQ(alone->first, 4U);
  EXPECT_TRUE(has(alone->remarks.at(0), "begin with line 4")) << alone->remarks[0];
  fs::rename(file, folder / "audit.jsonl.0");
  ASSERT_TRUE(t->reopen());
  EXPECT_TRUE(fs::exists(file)) << "SIGHUP makes the new file at once";
  make_change(*t, "carol");
  EXPECT_EQ(fault({older, folder / "audit.jsonl.0"}), "whole");
  EXPECT_EQ(fault({folder / "audit.jsonl.0", older, older, file}), "whole") << "in any order, each once";
  EXPECT_TRUE(has(fault({older}), "lines 4 to 5: missing")) << fault({older});
}

TEST_F(trail_test, goes_on_in_a_file_that_was_copied_and_emptied) {
  const auto t = must_open();
  make_change(*t, "alice");
  fs::copy_file(file, folder / "copy");
  fs::resize_file(file, 0);
  make_change(*t, "bob");
  EXPECT_EQ(fault({folder / "copy"}), "whole");
}

TEST_F(trail_test, continues_in_a_new_file_if_the_old_one_was_moved_while_the_role_was_stopped) {
  fill(1);
  fs::rename(file, folder / "old");
  fill(1);
  EXPECT_EQ(text(objects().at(0), "kind"), "intent") << "an absent file is a rotation, not a fault";
  EXPECT_EQ(fault({folder / "old"}), "whole");
  EXPECT_EQ(fault(), "whole");
}

TEST_F(trail_test, writes_refusals_at_a_bounded_rate_and_counts_the_others) {
  const auto t = must_open();
  change c = add("alice");
  for (int i = 0; i < 100; ++i) t->refused(c, "no rights");
  EXPECT_EQ(lines().size(), 1U + 10U);
  for (std::uint32_t uid = 0; uid < 3000; ++uid) {
    c.who.uid = 2000 + uid;
    t->refused(c, "no rights");
  }
  EXPECT_EQ(lines().size(), 1U + 60U) << "all peers together";
  t->tick();
  EXPECT_EQ(lines().size(), 61U);
  now += std::chrono::minutes(1);
  t->tick();
  const auto all = objects();
  ASSERT_EQ(all.size(), 63U);
  EXPECT_EQ(text(all[61], "kind"), "refusals");
  EXPECT_EQ(text(all[61], "peer"), "uid 1000");
  EXPECT_EQ(all[61].at("left_out").as_int64(), 90);
  EXPECT_EQ(all[62].at("left_out").as_int64(), 2950);
  EXPECT_EQ(t->statistics().refusals, 3100U);
  EXPECT_EQ(t->statistics().left_out, 3040U);
  t->refused(c, "again");
  EXPECT_EQ(text(objects().back(), "reason"), "again");
}

TEST_F(trail_test, writes_the_counts_of_refusals_when_it_ends) {
  {
    const auto t = must_open();
    for (int i = 0; i < 15; ++i) t->refused(add("alice"), "no rights");
  }
  EXPECT_EQ(objects().back().at("left_out").as_int64(), 5);
}

TEST_F(trail_test, refuses_more_open_changes_than_the_anchor_can_hold) {
  const auto t = must_open();
  std::vector<ticket> open_ones;
  change c = add("alice");
  c.after = std::string(4000, 'x');
  for (;;) {
    auto ticket = t->begin(c);
    if (!ticket) {
      EXPECT_EQ(ticket.error().code, errc::state_overloaded);
      break;
    }
    open_ones.push_back(std::move(*ticket));
    ASSERT_LT(open_ones.size(), 100U);
  }
  EXPECT_GE(open_ones.size(), 10U);
  EXPECT_LE(open_bytes(head()), open_bytes_max);
  EXPECT_LE(encode(head()).size(), storage::max_sealed_file_size);
  ASSERT_TRUE(t->finish(std::move(open_ones.back()), {}));
  open_ones.pop_back();
  EXPECT_TRUE(t->begin(c));
}

TEST_F(trail_test, bounds_every_text_and_keeps_lines_valid) {
  const auto t = must_open();
  change c;
  const std::string bad = std::string(3000, '\x01') + "\xff\xfe\xc3\x28" + std::string(3000, '"');
  c.who = certificate_principal(bad, bad);
  c.who.user = c.who.executable = bad;
  c.request = c.action = c.object = bad;
  c.before = boost::json::object{{bad, bad}};
  boost::json::value deep = nullptr;
  for (int i = 0; i < 200; ++i) deep = boost::json::array{deep};
  c.after = deep;
  auto ticket = t->begin(c);
  ASSERT_TRUE(ticket) << ticket.error().message();
  ASSERT_TRUE(t->finish(std::move(*ticket), {verdict::refused, bad, boost::json::value(bad)}));
  t->refused(c, bad);
  for (const auto& line : lines()) {
    EXPECT_LT(line.size(), line_size_max);
    EXPECT_NO_THROW(parsed(line));
  }
  EXPECT_EQ(fault(), "whole");
  EXPECT_EQ(clean_text("a\xff"
                       "b",
                       10),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(clean_text("abcdef", 6), "abcdef");
  EXPECT_EQ(clean_text("abcdefg", 6), "abc...");
  EXPECT_EQ(clean_text("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 6), "\xc3\xa4...");
}

TEST_F(trail_test, writes_null_for_a_number_that_json_does_not_have) {
  const auto t = must_open();
  const auto infinite = std::numeric_limits<double>::infinity();
  const boost::json::value odd =
      boost::json::object{{"a", infinite}, {"b", {-infinite, std::numeric_limits<double>::quiet_NaN(), 1.5}}};
  change c;
  c.action = "permit-open";
  c.before = c.after = odd;
  auto ticket = t->begin(c);
  ASSERT_TRUE(ticket) << ticket.error().message();
  ASSERT_TRUE(t->finish(std::move(*ticket), {verdict::done, {}, odd}));
  for (const auto& line : lines()) {
    EXPECT_NO_THROW(parsed(line)) << line;
  }
  EXPECT_EQ(boost::json::serialize(parsed(lines()[1]).at("after")), R"({"a":null,"b":[null,null,1.5E0]})");
  EXPECT_EQ(fault(), "whole");
}

TEST(line, is_json_whatever_its_fields_are) {
  std::string out;
  link at;
  boost::json::value deep = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 50; ++i) deep = boost::json::array{deep};
  append_line(out, at, {{"kind", "x\xff"}, {"a", std::numeric_limits<double>::infinity()}, {"b", deep}}, {},
              secret32{});
  EXPECT_TRUE(read_line(out.substr(0, out.size() - 1), secret32{})) << out;
}

TEST_F(trail_test, lies_in_a_sealed_file_for_a_role_without_a_store) {
  const auto key = random.draw_secret<32>();
  const auto anchored = [&] {
    return file_anchor(
        storage::sealed_file::with_data_key(folder / "head", file_anchor_purpose, key, random));
  };
  {
    const auto t = trail::open(file, anchored(), random, {}).value();
    make_change(*t, "alice");
  }
  const auto kept = anchored()->load().value().value();
  EXPECT_EQ(kept.head.number, 3U);
  EXPECT_TRUE(verify({}, file, kept)->whole());
  auto other = random.draw_secret<32>();
  auto wrong =
      file_anchor(storage::sealed_file::with_data_key(folder / "head", file_anchor_purpose, other, random));
  EXPECT_EQ(trail::open(file, std::move(wrong), random, {}).error().code, errc::store_sealed);
}

TEST(anchor, refuses_a_damaged_record) {
  chain c;
  c.head = {5, {}};
  c.open = {{3, "{}"}};
  const auto whole = encode(c);
  EXPECT_EQ(decode_chain(whole.expose())->open, c.open);
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_EQ(decode_chain(whole.expose().first(n)).error().code, errc::store_damaged) << n;
}

TEST(principal, of_this_process_has_what_the_kernel_shows) {
  const auto p = this_process();
  EXPECT_EQ(p.uid, ::getuid());
  EXPECT_EQ(p.pid, ::getpid());
  EXPECT_EQ(p.executable, fs::read_symlink("/proc/self/exe").string());
  if (::getuid() == 0) {
    EXPECT_EQ(p.user, "root");
  }
  EXPECT_EQ(peer_name(p), "uid " + std::to_string(::getuid()));
  EXPECT_EQ(peer_name(certificate_principal("urn:cpns:admin:ann", "127.0.0.1:4000")), "urn:cpns:admin:ann");
  EXPECT_EQ(peer_name(certificate_principal("", "127.0.0.1:4000")), "127.0.0.1");
  EXPECT_TRUE(process_principal(0, 0, 0x7fff'ffff).executable.empty()) << "a process that ended";
}

}  // namespace
}  // namespace cpns::audit
