// Simulates many gateways, each with its own certificate, against one server. bench/many_gateways runs it.
//
//   bench_gateways fill  HOME GATEWAYS DEVICES            creates certificates, and rows of the devices they hold
//   bench_gateways drive HOME GATEWAYS DEVICES HOST PORT  connects all gateways; each reports all of its devices
//
// HOME is a folder of `cpns init`; its server must be stopped for `fill`. `drive` prints one line of JSON when every
// entry is answered, and exits with 1 if that takes more than ten minutes.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bench/gateway_files.hpp"
#include "bench/link_frames.hpp"
#include "bench/program.hpp"
#include "cli/stores.hpp"
#include "crypto/key_schedule.hpp"
#include "protocol/codec.hpp"
#include "protocol/server/records.hpp"
#include "server/index_rows.hpp"

namespace cpns::bench {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::uint32_t set_keys = 32;
constexpr seconds timeout{600};

entity_id device_of(int gateway, int device) {
  return entity_id::parse(device_name(std::to_string(gateway) + "." + std::to_string(device))).value();
}
/// An entity whose first key was delivered and reported, and whose next key was delivered.
protocol::entity_record held(const user_id& owner, int gateway, int device) {
  auto& random = crypto::system_entropy();
  protocol::entity_record e;
  e.entity = device_of(gateway, device);
  e.owner = owner;
  e.claimed = e.holder_since = e.holder_seen = unix_seconds(now_wall());
  e.holder_uri = uri_of(gateway);
  e.holder = crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::x509, e.holder_uri);
  protocol::eukey_set s;
  s.generation = 1;
  s.set = random.draw_id<set_id>();
  s.incarnation = 1;
  s.issued_to = *e.holder;
  s.next_index = set_keys;
  s.not_after = e.claimed + 90 * 86'400;
  for (std::uint32_t i = 0; i < set_keys; ++i) s.eukeys.push_back(random.draw_secret<32>());
  e.sets.push_back(std::move(s));
  e.last_report = epoch{1, 0};
  return e;
}

status fill(const fs::path& home, int gateways, int devices) {
  CPNS_CHECK(certify(home, gateways));
  CPNS_TRY(auto opened, cli::open_server_store(home / "server.yaml"));
  CPNS_TRY(const auto owner, user_id::parse("alice@example.org"));
  for (int g = 0; g < gateways; ++g) {
    storage::sealed_batch batch{server::index_complete_op()};
    for (int d = 0; d < devices; ++d) {
      const auto e = held(owner, g, d);
      batch.push_back({storage::table::entities, to_bytes(as_bytes(e.entity.text())), encode(e)});
      server::add_index_rows(batch, e);
    }
    CPNS_CHECK(opened.sealed().write(batch));
  }
  return {};
}

struct totals {
  int connected = 0, done = 0;
  std::uint64_t entries = 0, not_ok = 0, refused = 0, lost = 0;
  clock::time_point begun = clock::now();
  double all_connected = 0;
  [[nodiscard]] double since() const { return std::chrono::duration<double>(clock::now() - begun).count(); }
};

/// Connects until it is accepted, and reports until every entry is answered.
class gateway : public std::enable_shared_from_this<gateway> {
 public:
  gateway(asio::io_context& io, crypto::tls_context tls, tcp::endpoint to, int number, int devices, totals& t)
      : timer_(io), tls_(tls.release()), to_(std::move(to)), number_(number), devices_(devices), totals_(t) {
    for (int d = 0; d < devices; ++d) missing_.insert(d);
  }

  void dial() {
    stream_ = std::make_unique<asio::ssl::stream<tcp::socket>>(timer_.get_executor(), tls_);
    stream_->next_layer().async_connect(to_, [self = shared_from_this()](const error_code& ec) {
      if (ec) return self->again();
      self->stream_->async_handshake(asio::ssl::stream_base::client, [self](const error_code& no) {
        if (no) return self->again();
        if (++self->totals_.connected == self->wanted) self->totals_.all_connected = self->totals_.since();
        self->report();
      });
    });
  }
  int wanted = 0;  ///< total number of gateways

 private:
  void again() {
    if (is_up_) --totals_.connected;
    is_up_ = false;
    ++totals_.lost;
    wait(milliseconds{500}, [self = shared_from_this()] { self->dial(); });
  }
  template <class Then>
  void wait(milliseconds time, Then then) {
    timer_.expires_after(time);
    timer_.async_wait([then = std::move(then)](const error_code& ec) {
      if (!ec) then();
    });
  }
  void report() {
    is_up_ = true;
    protocol::epoch_report m;
    for (const int d : missing_) {
      if (m.entries.size() >= protocol::reports_in_message_max) break;
      m.entries.emplace_back(device_of(number_, d), epoch{1, 1});
    }
    protocol::link_request r;
    r.id = crypto::system_entropy().draw_id<request_id>();
    r.body = std::move(m);
    out_.clear();
    append_frame(out_, r);
    asio::async_write(*stream_, asio::buffer(out_),
                      [self = shared_from_this()](const error_code& ec, std::size_t) {
                        if (ec) return self->again();
                        self->read_head();
                      });
  }
  void read_head() {
    in_.resize(frame_head);
    asio::async_read(*stream_, asio::buffer(in_),
                     [self = shared_from_this()](const error_code& ec, std::size_t) {
                       if (ec) return self->again();
                       self->in_.resize(frame_size(self->in_.data()));
                       self->read_body();
                     });
  }
  void read_body() {
    asio::async_read(*stream_, asio::buffer(in_),
                     [self = shared_from_this()](const error_code& ec, std::size_t) {
                       if (ec) return self->again();
                       self->answered();
                     });
  }
  void answered() {
    const auto a = protocol::decode_link_answer(in_);
    if (!a) return again();
    if (const auto* no = std::get_if<protocol::refusal>(&a->body)) {
      ++totals_.refused;
      return wait(seconds{no->retry_after}, [self = shared_from_this()] { self->report(); });
    }
    for (const auto& [entity, outcome] : std::get<protocol::epoch_report_answer>(a->body).entries) {
      const auto& text = entity.text();
      if (missing_.erase(std::atoi(text.c_str() + text.rfind('.') + 1)) == 0) continue;
      ++totals_.entries;
      if (outcome != protocol::report_outcome::ok) ++totals_.not_ok;
    }
    if (!missing_.empty()) return report();
    ++totals_.done;  // the connection stays open, as that of a real gateway
  }

  asio::steady_timer timer_;
  asio::ssl::context tls_;
  std::unique_ptr<asio::ssl::stream<tcp::socket>> stream_;
  tcp::endpoint to_;
  int number_, devices_;
  totals& totals_;
  std::set<int> missing_;
  bytes out_, in_;
  bool is_up_ = false;
};

status drive(const fs::path& home, int gateways, int devices, const std::string& host,
             const std::string& port) {
  asio::io_context io{1};
  const tcp::endpoint to{asio::ip::make_address(host), static_cast<std::uint16_t>(std::stoi(port))};
  totals t;
  std::vector<std::shared_ptr<gateway>> all;
  for (int g = 0; g < gateways; ++g) {
    CPNS_TRY(auto tls, client_of(home, g));
    all.push_back(std::make_shared<gateway>(io, std::move(tls), to, g, devices, t));
    all.back()->wanted = gateways;
  }
  t.begun = clock::now();
  for (const auto& g : all) g->dial();
  while (t.done < gateways && clock::now() - t.begun < timeout) io.run_one_for(seconds{1});
  std::printf(
      "{\"connected_s\": %.2f, \"answered_s\": %.2f, \"gateways\": %d, \"entries\": %llu, \"not_ok\": %llu, "
      "\"refused\": %llu, \"dialled_again\": %llu}\n",
      t.all_connected, t.since(), t.done, static_cast<unsigned long long>(t.entries),
      static_cast<unsigned long long>(t.not_ok), static_cast<unsigned long long>(t.refused),
      static_cast<unsigned long long>(t.lost));
  if (t.done < gateways) return fail(errc::peer_timeout, "not every gateway got its answers in ten minutes");
  return {};
}

}  // namespace
}  // namespace cpns::bench

int main(int argc, char** argv) {
  using namespace cpns::bench;
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 4 && args[0] == "fill")
    return exit_code("bench_gateways", fill(args[1], std::stoi(args[2]), std::stoi(args[3])));
  if (args.size() == 6 && args[0] == "drive")
    return exit_code("bench_gateways",
                     drive(args[1], std::stoi(args[2]), std::stoi(args[3]), args[4], args[5]));
  return usage("usage: bench_gateways fill HOME GATEWAYS DEVICES\n"
               "       bench_gateways drive HOME GATEWAYS DEVICES HOST PORT\n");
}
