#include "plugins/conformance/instance.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <future>
#include <memory>
#include <type_traits>

namespace cpns::conformance {
namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The interface allows two seconds. A busy machine may delay it, so only a much longer time is a breach.
constexpr std::chrono::seconds open_limit{2}, open_hangs{6};
constexpr std::chrono::seconds close_limit{2}, close_hangs{6};
constexpr std::chrono::seconds call_limit{5};

std::int64_t ms_since(clock::time_point begun) {
  return std::chrono::duration_cast<milliseconds>(clock::now() - begun).count();
}

void threw(bench& b, const std::string& what) {
  b.note_breach("nothing-throws", "no function may throw: an exception left " + what);
}

}  // namespace

opened open_raw(bench& b, recorder& r, std::uint32_t role, const params& p, open_how how) {
  const auto& entry = b.entry();
  require(entry.open != nullptr, "the entry has no open function");
  std::vector<cpns_parameter> list;
  for (const auto& [k, v] : p) list.push_back({k.c_str(), v.c_str()});
  cpns_open_args args{};
  args.size = how.args_size != 0 ? how.args_size : static_cast<std::uint32_t>(sizeof args);
  args.role = role;
  args.parameters = list.data();
  args.parameter_count = list.size();
  args.probe = how.probe;
  auto host = *r.table();
  const cpns_host* given = r.table();
  // A plugin may keep the table, so it is never freed.
  static std::vector<std::unique_ptr<cpns_host>> odd_hosts;
  if (how.host_size != 0) {
    host.size = how.host_size;
    if (how.host_size < sizeof host)
      std::memset(reinterpret_cast<char*>(&host) + how.host_size, 0, sizeof host - how.host_size);
    odd_hosts.push_back(std::make_unique<cpns_host>(host));
    given = odd_hosts.back().get();
  }
  static const cpns_transport untouched{};
  const cpns_transport* out = &untouched;
  opened o;
  b.step(role == CPNS_ROLE_PERIPHERAL ? "open of the peripheral" : "open of the central");
  const auto begun = clock::now();
  try {
    o.status = entry.open(given, &args, &out);
  } catch (...) {
    threw(b, "open");
  }
  if (const auto took = ms_since(begun); took > 1000 * open_limit.count()) {
    const auto words = "a plugin has two seconds to open: it took " + std::to_string(took) + " ms";
    if (took > 1000 * open_hangs.count())
      b.note_breach("opens-in-time", words);
    else
      b.warn(words);
  }
  o.out_untouched = out == &untouched;
  o.transport = o.out_untouched ? nullptr : out;
  o.logged = r.logged();
  b.step("after open");
  if (o.status == CPNS_OK)
    r.enter(recorder::phase::opened);
  else {
    r.enter(recorder::phase::closed);
    r.loop.end();
  }
  return o;
}

void close_raw(bench& b, recorder& r, const cpns_transport& t) {
  b.step("close");
  const auto begun = clock::now();
  // In a separate thread, because close may never return.
  auto done = std::make_shared<std::promise<bool>>();
  auto answer = done->get_future();
  std::thread{[done, &t] {
    try {
      t.close(t.context);
      done->set_value(true);
    } catch (...) {
      done->set_value(false);
    }
  }}.detach();
  if (answer.wait_for(close_hangs) != std::future_status::ready) {
    const std::string words = "close must return within two seconds: it had not returned after " +
                              std::to_string(close_hangs.count()) + " s";
    b.note_breach("close-returns", words);
    throw test_failed{words};
  }
  r.enter(recorder::phase::closed);
  r.loop.end();
  if (!answer.get()) threw(b, "close");
  if (const auto took = ms_since(begun); took > 1000 * close_limit.count())
    b.warn("close must return within two seconds: it took " + std::to_string(took) + " ms");
  b.step("after close");
}

instance::instance(bench& b, cpns_role as, const params& p, open_how how)
    : instance(b, keep_recorder(b, as), as, p, how) {}

instance::instance(bench& b, recorder& r, cpns_role as, const params& p, open_how how)
    : in(b), role(as), heard(r) {
  const auto o = open_raw(b, r, as, p, how);
  if (o.status != CPNS_OK || o.transport == nullptr)
    throw test_failed{"open of the " + name_of(as) + " returned " + name_of(o.status) +
                      (o.transport == nullptr && o.status == CPNS_OK ? " without a transport" : "") +
                      (o.logged.empty() ? "" : ": " + o.logged)};
  transport_ = o.transport;
  limits = read_limits();
  heard.expect_limits(limits);
}

instance::~instance() {
  try {
    close();
  } catch (const test_failed&) {
    // close_raw() has noted the breach.
  }
}

template <class Call>
auto instance::watched(const char* step, Call call) -> decltype(call(std::declval<const cpns_transport&>())) {
  using answer_type = decltype(call(std::declval<const cpns_transport&>()));
  const auto* t = transport_.load();
  if (t == nullptr) return answer_type();
  in.step(step);
  const auto begun = clock::now();
  const auto check_time = [&] {
    if (const auto took = clock::now() - begun; took > call_limit)
      in.note_breach("calls-return-at-once", std::string{"no call may wait for the peer: "} + step +
                                                 " took " + std::to_string(ms_since(begun)) + " ms");
  };
  try {
    if constexpr (std::is_void_v<answer_type>) {
      call(*t);
      check_time();
      return;
    } else {
      const auto answer = call(*t);
      check_time();
      return answer;
    }
  } catch (...) {
    threw(in, step);
  }
  return answer_type();
}

cpns_status instance::scan(bool on) {
  if (on) heard.enter(recorder::phase::started);
  return watched("scan", [&](auto& t) { return t.scan(t.context, on); });
}
cpns_status instance::add_endpoint(std::uint64_t endpoint) {
  heard.expect_endpoint(endpoint);
  heard.enter(recorder::phase::started);
  const auto name = "pne " + std::to_string(endpoint);
  return watched("add_endpoint", [&](auto& t) { return t.add_endpoint(t.context, endpoint, name.c_str()); });
}
void instance::remove_endpoint(std::uint64_t endpoint) {
  watched("remove_endpoint", [&](auto& t) { t.remove_endpoint(t.context, endpoint); });
}
cpns_status instance::connect(const std::string& address) {
  return watched("connect", [&](auto& t) { return t.connect(t.context, address.c_str()); });
}
void instance::cancel(const std::string& address) {
  watched("cancel", [&](auto& t) {
    if (CPNS_HAS(&t, cancel) && t.cancel != nullptr) t.cancel(t.context, address.c_str());
  });
}
cpns_status instance::send(std::uint64_t link, byte_view data) {
  return watched("send", [&](auto& t) { return t.send(t.context, link, data.data(), data.size()); });
}
void instance::disconnect(std::uint64_t link) {
  watched("disconnect", [&](auto& t) { t.disconnect(t.context, link); });
}
const void* instance::get_extension(const char* id) {
  return watched("get_extension", [&](auto& t) { return t.get_extension(t.context, id); });
}

cpns_limits instance::read_limits() {
  cpns_limits out{};
  out.size = sizeof out;
  watched("get_limits", [&](auto& t) { t.get_limits(t.context, &out); });
  return out;
}

void instance::close() {
  if (in.abandoned()) return;
  if (const auto* t = transport_.exchange(nullptr); t != nullptr) close_raw(in, heard, *t);
}

cpns_status instance::send_until_taken(std::uint64_t link, byte_view data) {
  const auto until = clock::now() + timeout;
  for (;;) {
    const auto sent = send(link, data);
    if (sent != CPNS_WOULD_BLOCK) return sent;
    if (clock::now() > until) {
      in.note_breach("writable-after-would-block",
                     "a link must accept frames again after CPNS_WOULD_BLOCK: it did not within " +
                         std::to_string(timeout.count()) + " s");
      return sent;
    }
    // Polls, because another test checks that writable is called.
    std::this_thread::sleep_for(milliseconds{1});
  }
}

pair::pair(bench& b, const params& over)
    : in(b), met(b.draw(over)), central(b, CPNS_ROLE_CENTRAL, met.central),
      peripheral(b, CPNS_ROLE_PERIPHERAL, met.peripheral) {}

pair::~pair() {
  try {
    peripheral.close();
  } catch (const test_failed&) {
    // close_raw() has noted the breach.
  }
}

void pair::connect_to_found() {
  if (!central.is_open()) return;
  for (const auto& address : central.heard.take_found()) central.connect(address);
}

void pair::glance() { std::this_thread::sleep_for(milliseconds{1}); }

void pair::wait_for_links(std::size_t count, const std::string& what) {
  const bool fewer = count < std::max(central.heard.count_up(), peripheral.heard.count_up());
  const auto as_expected = wait([&] {
    return (!central.is_open() || central.heard.count_up() == count) &&
           (!peripheral.is_open() || peripheral.heard.count_up() == count);
  });
  if (as_expected) return;
  const auto words = what + ": after " + std::to_string(timeout.count()) + " s the central has " +
                     std::to_string(central.heard.count_up()) + " links and the peripheral " +
                     std::to_string(peripheral.heard.count_up()) + "; expected " + std::to_string(count);
  if (fewer) in.note_breach("links-go-down-on-both-sides", words);
  throw test_failed{words};
}

void frame_lost(const instance& from, const std::string& words) {
  // Unless another rule was broken, because the recorder does not count frames that break one.
  if (from.reliable() && from.in.breaches().empty())
    from.in.note_breach("reliable-is-reliable",
                        "with CPNS_TRAIT_RELIABLE every accepted frame must arrive: " + words);
  throw test_failed{words};
}

std::size_t pair::most(std::size_t wanted) const {
  return std::min<std::size_t>(
      {wanted, central.limits.max_links, peripheral.limits.max_links, peripheral.limits.max_endpoints});
}

void pair::bring_up(std::size_t count, std::uint64_t first) {
  const auto before = peripheral.heard.count_up();
  const auto declared = most(before + count);
  if (before + count > declared)
    throw test_skipped{"the plugin declares " + std::to_string(declared) + " links, and this test needs " +
                       std::to_string(before + count)};
  const auto scanned = central.scan(true);
  require(scanned == CPNS_OK, "scan(on) of a central returned " + name_of(scanned));
  for (std::size_t i = 0; i < count; ++i) {
    const auto added = peripheral.add_endpoint(first + i);
    require(added == CPNS_OK, "add_endpoint of a peripheral returned " + name_of(added));
  }
  wait_for_links(before + count, "a scanning central must get a link to every presented endpoint");
}

ends pair::ends_of(std::uint64_t endpoint) {
  ends found;
  peripheral.heard.wait([&](const auto& links) {
    for (const auto& [id, l] : links)
      if (l.up && l.endpoint == endpoint) found.peripheral = id;
    return found.peripheral != 0;
  });
  require(found.peripheral != 0, "no link of endpoint " + std::to_string(endpoint) + " is up");
  auto mark = numbered(0xfeed0000u + static_cast<std::uint32_t>(endpoint), 12);
  // Repeated, because an unreliable radio may lose it.
  const auto heard = wait([&] {
    if (peripheral.send_until_taken(found.peripheral, mark) != CPNS_OK) return false;
    return central.heard.wait(
        [&](const auto& links) {
          for (const auto& [id, l] : links)
            if (l.up)
              for (const auto& f : l.frames)
                if (f == mark) found.central = id;
          return found.central != 0;
        },
        peripheral.reliable() ? milliseconds{timeout} : milliseconds{50});
  });
  if (!heard) frame_lost(peripheral, "a frame of the peripheral did not reach the central");
  return found;
}

bytes numbered(std::uint32_t n, std::size_t size) {
  bytes out(size);
  std::uint32_t x = n * 2654435761u + 1;
  for (std::size_t i = 0; i < size; ++i)
    out[i] = i < 4 ? static_cast<std::uint8_t>(n >> (8 * i))
                   : static_cast<std::uint8_t>((x = x * 1664525u + 1013904223u) >> 24);
  return out;
}

std::uint32_t number_of(byte_view f) {
  std::uint32_t n = 0;
  for (std::size_t i = 0; i < 4 && i < f.size(); ++i) n |= std::uint32_t{f[i]} << (8 * i);
  return n;
}

}  // namespace cpns::conformance
