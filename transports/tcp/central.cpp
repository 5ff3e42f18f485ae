#include "transports/tcp/central.hpp"

#include <boost/asio/post.hpp>
#include <utility>

namespace cpns::tcp {
namespace {

constexpr std::chrono::milliseconds accept_pause{
    100};  // after EMFILE and the like: accepting again at once would spin

}  // namespace

central::central(sdk::host out, settings s, bool probe)
    : hub(out, std::move(s)), acceptor_(io_), pause_(io_), beacon_(io_, settings_, out_, counters_) {
  const auto& [host, port] = settings_.listen;
  boost::system::error_code wrong;
  const asio::ip::tcp::endpoint at{asio::ip::make_address(host), probe ? std::uint16_t{0} : port};
  acceptor_.open(at.protocol(), wrong);
  acceptor_.set_option(asio::socket_base::reuse_address{true}, wrong);
  acceptor_.bind(at, wrong);
  if (!wrong) acceptor_.listen(asio::socket_base::max_listen_connections, wrong);
  if (wrong)
    throw sdk::unavailable{"listening on " + host + ":" + std::to_string(port) + ": " + wrong.message()};
}

void central::scan(bool on) {
  asio::post(io_, [this, on] {
    if (stopping_ || on == scanning_) return;
    scanning_ = on;
    if (!on) {
      boost::system::error_code ignored;
      acceptor_.cancel(ignored);
      pause_.cancel();
      beacon_.stop();
      return;
    }
    const auto port = acceptor_.local_endpoint().port();
    out_.log(CPNS_LOG_INFO, "listening on " + settings_.listen.first + ":" + std::to_string(port));
    beacon_.start(port);
    accept();
  });
}

void central::save_power(bool on) {
  asio::post(io_, [this, on] { beacon_.save_power(on); });
}

void central::accept() {
  if (accepting_) return;
  accepting_ = true;
  acceptor_.async_accept([this](const boost::system::error_code& wrong, asio::ip::tcp::socket socket) {
    accepting_ = false;
    if (stopping_) return;
    if (wrong && wrong != asio::error::operation_aborted) {
      if (!std::exchange(complained_, true))
        out_.log(CPNS_LOG_WARN, "accepting a connection: " + wrong.message() + "; trying again and again");
      pause_.expires_after(accept_pause);
      pause_.async_wait([this](const boost::system::error_code& cancelled) {
        if (!cancelled && scanning_) accept();
      });
      return;
    }
    if (!wrong) {
      complained_ = false;
      if (link_count() + strangers_.size() < links_max_)
        greet(std::make_shared<connection>(std::move(socket), settings_));
      else
        refuse_one_more();
    }
    if (scanning_) accept();
  });
}

void central::refuse_one_more() {
  if (links_max_ < settings_.max_links && !std::exchange(told_of_files_, true))
    out_.log(CPNS_LOG_WARN, "more than " + std::to_string(links_max_) +
                                " connections do not fit into the files that this process may open; further "
                                "ones are closed; raise its limit (ulimit -n, LimitNOFILE)");
  out_.log(CPNS_LOG_DEBUG, "a connection over max_links is closed");
}

void central::greet(const std::shared_ptr<connection>& c) {
  strangers_.emplace(c.get(), c);
  const auto address = c->peer();
  auto* key = c.get();
  c->expect_hello(
      [this, key, address](std::span<const std::uint8_t> data) {
        const auto self = strangers_.at(key);
        const std::string_view text{reinterpret_cast<const char*>(data.data()), data.size()};
        if (text != magic + settings_.network) {
          ++counters_.strangers_refused;
          out_.log(CPNS_LOG_DEBUG, address + " said another hello");
          return self->close(CPNS_DOWN_BAD_FRAME, "not a hello of this network");
        }
        strangers_.erase(key);
        adopt(self, 0, "tcp:" + address, {});
      },
      [this, key] { strangers_.erase(key); });
}

void central::shut() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  beacon_.stop();
  const auto all = strangers_;
  for (const auto& [key, c] : all) c->close(CPNS_DOWN_CLOSED, "this side closes");
}

}  // namespace cpns::tcp
