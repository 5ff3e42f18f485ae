#include "transports/tcp/central.hpp"

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace cpns::tcp {
namespace {

// After an error like EMFILE: accepting again at once would spin.
constexpr std::chrono::milliseconds accept_pause{100};

}  // namespace

central::central(sdk::host out, settings s, bool probe)
    : hub(out, std::move(s), probe), acceptor_(io_), pause_(io_), beacon_(io_, settings_, out_, counters_) {
  boost::system::error_code wrong;
  const auto& own = settings_.listen;
  const asio::ip::tcp::endpoint at{asio::ip::make_address(own.host), probe ? std::uint16_t{0} : own.port};
  acceptor_.open(at.protocol(), wrong);
  // [::] accepts IPv4 too, whatever the system's default is.
  if (!wrong && at.address().is_v6())
    acceptor_.set_option(asio::ip::v6_only{!at.address().is_unspecified()}, wrong);
  if (!wrong) acceptor_.set_option(asio::socket_base::reuse_address{true}, wrong);
  if (!wrong) acceptor_.bind(at, wrong);
  if (!wrong) acceptor_.listen(asio::socket_base::max_listen_connections, wrong);
  if (wrong) throw sdk::unavailable{"cannot listen on " + text_of(own) + ": " + wrong.message()};
  if (!probe && settings_.max_links == 0)
    out_.log(CPNS_LOG_INFO,
             "accepts at most " + std::to_string(links_declared()) +
                 " connections: the limit on open files of this process (ulimit -n, "
                 "LimitNOFILE), less those for its other work; fewer while other tcp radios keep some");
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
    out_.log(CPNS_LOG_INFO, "listening on " + text_of(host_port{settings_.listen.host, port}));
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
  acceptor_.async_accept([this](const boost::system::error_code& wrong, stream socket) {
    accepting_ = false;
    if (stopping_) return;
    if (wrong && wrong != asio::error::operation_aborted) {
      if (!std::exchange(accept_failed_, true))
        out_.log(CPNS_LOG_WARN, "cannot accept a connection: " + wrong.message() + "; retrying every " +
                                    std::to_string(accept_pause.count()) + " ms");
      pause_.expires_after(accept_pause);
      pause_.async_wait([this](const boost::system::error_code& cancelled) {
        if (!cancelled && scanning_) accept();
      });
      return;
    }
    if (!wrong) {
      accept_failed_ = false;
      if (fits_one_more(strangers_.size()))
        greet(std::make_shared<connection>(std::move(socket), base_));
      else
        refuse(socket);
    }
    if (scanning_) accept();
  });
}

void central::refuse(const stream& socket) {
  const bool by_files = settings_.max_links == 0 || !counted_connection::fits();
  const auto most = by_files && settings_.max_links != 0 ? connections_that_fit() : links_max();
  if (by_files && !std::exchange(files_reported_, true))
    out_.log(CPNS_LOG_WARN,
             "closing further connections: the limit on open files of this process allows only " +
                 std::to_string(most) + "; raise that limit (ulimit -n, LimitNOFILE)");
  boost::system::error_code gone;
  const auto from = socket.remote_endpoint(gone);
  turned_away(counters_.strangers_over_limit, gone ? "a peer" : text_of(from),
              "the limit of " + std::to_string(most) + " connections is reached");
}

void central::greet(const std::shared_ptr<connection>& c) {
  strangers_.emplace(c.get(), c);
  c->expect_hello();
}

void central::hello_in(connection& c, std::span<const std::uint8_t> body) {
  const auto address = c.peer();
  const std::string_view text{reinterpret_cast<const char*>(body.data()), body.size()};
  if (text != magic + settings_.network) {
    const bool is_hello = text.substr(0, magic.size()) == magic;
    turned_away(is_hello ? counters_.strangers_other_network : counters_.strangers_bad_hello, address,
                is_hello ? "it belongs to another network" : "its first frame is not a hello");
    return c.close(CPNS_DOWN_BAD_FRAME, "the first frame is not a hello of this network");
  }
  const auto self = strangers_.at(&c);
  strangers_.erase(&c);
  adopt(self, 0, "tcp:" + address);
}

void central::stranger_gone(const connection& c) { strangers_.erase(&c); }

void central::shut() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  beacon_.stop();
  const auto all = strangers_;
  for (const auto& [key, c] : all) c->close(CPNS_DOWN_CLOSED, "this side is closing");
}

}  // namespace cpns::tcp
