// The services of manufacturers, asked as the server asks them, but for no device.

#include <boost/json.hpp>
#include <future>
#include <memory>

#include "api/https_client.hpp"
#include "cli/doctor/doctor.hpp"
#include "config/values.hpp"
#include "server/key_answer.hpp"

namespace cpns::cli::doctor {
namespace {

std::string_view remedy_of(api::https_fault kind) {
  switch (kind) {
  case api::https_fault::name: return "correct url, or the name servers of this machine";
  case api::https_fault::connect:
  case api::https_fault::timeout:
    return "look whether the service runs at that url, and for firewalls between the machines";
  case api::https_fault::tls:
    return "compare tls.ca and tls.certificate of the service with what its manufacturer has named, and the "
           "host in "
           "url with the certificate of the service";
  default: return "tell the manufacturer; the contract is docs/openapi/key-service.yaml";
  }
}

line answer_of(const config::key_service_config& c, milliseconds patience) {
  const auto named = "the service " + c.name + " at " + c.url;
  const auto url = config::parse_https_url(c.url);
  auto tls = crypto::make_api_client_tls(
      {c.tls.ca.string(), c.tls.certificate.string(), c.tls.key.string(), c.tls.crl.string()});
  if (!url || !tls)
    return {state_t::error,
            named + " cannot be asked: " + (url ? tls.error().message() : url.error().message())};
  const auto got = std::make_shared<std::promise<api::https_outcome>>();
  auto outcome = got->get_future();
  const auto begun = std::chrono::steady_clock::now();
  api::https_client client{{.host = url->at.host, .port = url->at.port}, crypto::always(*std::move(tls))};
  client.get(url->path + std::string{server::key_health_target}, patience,
             [got](api::https_outcome o) { got->set_value(std::move(o)); });
  const auto answer = outcome.get();
  const auto ms = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begun).count();
  if (!answer)
    return {state_t::error,
            named + ": " + answer.error().why + "; " + std::string{remedy_of(answer.error().kind)}};
  constexpr unsigned good = 200;
  if (answer->status != good)
    return {state_t::error, named + " answers /v1/health with HTTP status " + std::to_string(answer->status) +
                                "; look at the path in url, and ask the manufacturer"};
  if (milliseconds{ms} > c.timeout)
    return {state_t::warning, named + " answers, but after " + std::to_string(ms) + " ms; its timeout is " +
                                  config::duration_text(c.timeout)};
  return {state_t::ok, named + " answers (" + std::to_string(ms) + " ms)"};
}

/// What the running server says about it.
std::optional<line> state_at_the_server(const subject& s, const std::string& name) {
  if (!s.running()) return std::nullopt;
  const auto status = status_of_role(s);
  if (!status) return std::nullopt;  // check_ready says so
  const auto* all = status->if_contains("key_services");
  const auto* one = all != nullptr && all->is_object() ? all->get_object().if_contains(name) : nullptr;
  if (one == nullptr)
    return line{state_t::warning, "the running server does not know the service " + name +
                                      "; restart it to read the configuration"};
  if (one->at("breaker").as_string() == "closed") return std::nullopt;
  const auto* last = one->at("last_failure").if_object();
  const auto why = last == nullptr ? std::string{} : boost::json::value_to<std::string>(last->at("why"));
  return line{state_t::warning, "the service " + name + " failed and is left alone by the server: " + why +
                                    "; devices without a key in memory get none until it answers"};
}

}  // namespace

lines check_key_service(const subject& s, const config::key_service_config& service) {
  lines out{answer_of(service, s.patience)};
  const auto notes = crypto::certificate_notes({service.tls.ca.string(), service.tls.certificate.string(),
                                                service.tls.key.string(), service.tls.crl.string()},
                                               crypto::tls_role::api_client, s.now);
  for (const auto& note : notes)
    if (note.when != crypto::urgency::none)
      out.push_back({note.when == crypto::urgency::now ? state_t::error : state_t::warning, note.text});
  if (auto left_alone = state_at_the_server(s, service.name)) out.push_back(*std::move(left_alone));
  return out;
}

}  // namespace cpns::cli::doctor
