// Declarations of plugins, checks of given parameters, and monikers of the command line.
#include "plugins/host/description.hpp"

#include <gtest/gtest.h>

#include "plugins/host/moniker.hpp"
#include "plugins/sdk/parameters.hpp"
#include "tests/unit/plugins/scripted_radio.hpp"

namespace cpns::plugins {
namespace {

using enum transport_role;
using params = std::map<std::string, std::string>;

const std::vector<cpns_parameter_spec> usual{
    sdk::text("listen", "Where it listens.", "127.0.0.1:0", 3, 64,
              CPNS_PARAMETER_OF_CENTRAL | CPNS_PARAMETER_IS_ADDRESS),
    sdk::text("connect", "Where it connects to.", nullptr, 1, 64,
              CPNS_PARAMETER_OF_PERIPHERAL | CPNS_PARAMETER_IS_ADDRESS),
    sdk::number("mtu", "Bytes of a frame.", "512", 23, 4096),
    sdk::boolean("loud", "Whether it is loud.", "false"),
    sdk::choice("security", "How it is secured.", "low", "low medium high"),
};

result<plugin_description> described(const std::vector<cpns_parameter_spec>& specs) {
  return describe({sizeof(cpns_transport_entry_t), CPNS_ABI_MAJOR, CPNS_ABI_MINOR, 0, "scripted", "1",
                   "For tests", nullptr, specs.data(), static_cast<std::uint32_t>(specs.size()),
                   sizeof(cpns_parameter_spec)});
}

/// The only diagnostic, or the number of them.
std::string diagnostic(const params& given, transport_role role = central) {
  const auto all = check_parameters(*described(usual), role, given);
  if (all.size() != 1) return std::to_string(all.size()) + " diagnostics";
  return all.front().name + ": " + all.front().text;
}

TEST(description, is_read_and_survives_the_pipe) {
  const auto d = described(usual);
  ASSERT_TRUE(d) << d.error().message();
  const auto again = from_lines(to_lines(*d));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->name, "scripted");
  EXPECT_TRUE(again->declares);
  ASSERT_EQ(again->parameters.size(), usual.size());
  EXPECT_EQ(again->parameters[0].preset, "127.0.0.1:0");
  EXPECT_EQ(again->parameters[1].preset, std::nullopt);
  EXPECT_EQ(again->parameters[2].max, 4096u);
  EXPECT_EQ(again->parameters[4].choices, "low medium high");
  EXPECT_EQ(to_lines(*again), to_lines(*d));
  EXPECT_FALSE(from_lines(""));
  EXPECT_FALSE(from_lines("a\nb\nc\n1 1 1 99999999\n"));
  EXPECT_FALSE(from_lines(to_lines(*d).substr(0, 60)));
}

TEST(description, declares_nothing_when_the_entry_is_of_interface_1_0) {
  cpns_transport_entry_t old{};
  old.size = offsetof(cpns_transport_entry_t, parameters);
  old.name = "old";
  old.parameter_count = 77;
  const auto d = describe(old);
  ASSERT_TRUE(d);
  EXPECT_FALSE(d->declares);
  EXPECT_TRUE(check_parameters(*d, central, {{"what", "ever"}}).empty());
  EXPECT_EQ(with_presets(*d, central, {{"a", "b"}}), (params{{"a", "b"}}));
}

TEST(description, is_refused_when_a_declaration_is_invalid) {
  const auto good = usual[2];
  const auto says = [&](auto change) {
    auto bad = good;
    change(bad);
    const auto d = described({bad});
    return d ? std::string{"taken"} : d.error().detail;
  };
  using spec = cpns_parameter_spec;
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos ? std::string{part} : text;
  };
  EXPECT_EQ(has(says([](spec& s) { s.name = nullptr; }), "invalid name"), "invalid name");
  EXPECT_EQ(has(says([](spec& s) { s.name = "MTU"; }), "invalid name"), "invalid name");
  EXPECT_EQ(has(says([](spec& s) { s.name = ""; }), "invalid name"), "invalid name");
  EXPECT_EQ(has(says([](spec& s) { s.sentence = "two\nlines"; }), "a one-line sentence"),
            "a one-line sentence");
  EXPECT_EQ(has(says([](spec& s) { s.kind = 9; }), "unknown kind: 9"), "unknown kind: 9");
  EXPECT_EQ(has(says([](spec& s) { s.flags = CPNS_PARAMETER_IS_ADDRESS; }), "for neither role"),
            "for neither role");
  EXPECT_EQ(has(says([](spec& s) { s.choices = "a b"; }), "choices"), "choices");
  EXPECT_EQ(has(says([](spec& s) { s.kind = CPNS_PARAMETER_CHOICE; }), "choices"), "choices");
  EXPECT_EQ(has(says([](spec& s) { s.min = 5000; }), "min greater than max"), "min greater than max");
  EXPECT_EQ(has(says([](spec& s) { s.preset = "22"; }), "preset is invalid"), "preset is invalid");
  EXPECT_EQ(described({good, good}).error().code, errc::plugin_misbehaved);
  EXPECT_EQ(described({usual[0],
                       [] {
                         auto other = usual[0];
                         other.name = "other";
                         return other;
                       }()})
                .error()
                .code,
            errc::plugin_misbehaved);
  cpns_transport_entry_t lies{};
  lies.size = sizeof lies;
  lies.parameter_size = 8;
  lies.parameter_count = 1;
  EXPECT_FALSE(describe(lies));
  lies.parameter_size = sizeof(cpns_parameter_spec);
  EXPECT_FALSE(describe(lies)) << "a count and no array";
  lies.parameter_count = 1'000'000;
  lies.parameters = usual.data();
  EXPECT_FALSE(describe(lies));
}

TEST(parameters, are_reported_by_name_when_they_do_not_fit) {
  EXPECT_EQ(diagnostic({{"mtu", "22"}}),
            "mtu: parameter mtu of scripted: it must be a number from 23 to 4096, not '22'");
  EXPECT_EQ(diagnostic({{"mtu", "18446744073709551616"}}).substr(0, 4), "mtu:");
  EXPECT_EQ(diagnostic({{"mut", "64"}}),
            "mut: parameter 'mut' is not known to scripted; did you mean 'mtu'?");
  EXPECT_EQ(
      diagnostic({{"wavelength", "red"}}),
      "wavelength: parameter 'wavelength' is not known to scripted; known are listen, mtu, loud, security");
  EXPECT_EQ(diagnostic({{"connect", "a"}}),
            "connect: parameter connect of scripted is only for a PNE, this is the gateway");
  EXPECT_EQ(diagnostic({{"loud", "yes"}}),
            "loud: parameter loud of scripted: it must be true or false, not 'yes'");
  EXPECT_EQ(diagnostic({{"security", "lo"}}),
            "security: parameter security of scripted: it must be one of: low medium high, not 'lo'");
  EXPECT_EQ(diagnostic({{"security", "low medium"}}).substr(0, 9), "security:");
  EXPECT_EQ(diagnostic({{"listen", "ab"}}),
            "listen: parameter listen of scripted: it must have 3 to 64 bytes, not 'ab'");
  EXPECT_EQ(diagnostic({{"listen", std::string("abc\0def", 7)}}).substr(0, 7), "listen:");
  EXPECT_EQ(diagnostic({}, peripheral),
            "connect: parameter connect of scripted is missing: Where it connects to.");
  EXPECT_EQ(diagnostic({}), "0 diagnostics");
  EXPECT_EQ(diagnostic({{"mtu", "1"}, {"loud", "x"}}), "2 diagnostics");
}

TEST(parameters, are_completed_with_presets) {
  EXPECT_EQ(with_presets(*described(usual), central, {{"mtu", "64"}}),
            (params{{"listen", "127.0.0.1:0"}, {"loud", "false"}, {"mtu", "64"}, {"security", "low"}}));
}

TEST(parameters, are_all_passed_to_open_which_is_not_called_when_one_is_wrong) {
  scripted_radio radio;
  recorder heard;
  radio.specs = usual;
  ASSERT_TRUE(radio.open(heard, central, {{"mtu", "64"}}));
  EXPECT_EQ(radio.params,
            (params{{"listen", "127.0.0.1:0"}, {"loud", "false"}, {"mtu", "64"}, {"security", "low"}}));
  scripted_radio other;
  other.specs = usual;
  const auto refused = other.open(heard, central, {{"mtu", "1"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::config_range);
  EXPECT_EQ(refused.error().parameter, "mtu");
  EXPECT_EQ(other.host, nullptr) << "open was not called";
}

TEST(parameters, may_be_refused_by_the_plugin_by_name) {
  scripted_radio radio;
  recorder heard;
  radio.specs = usual;
  radio.on_open = [](const cpns_host* h) { return cpns_parameter_refuse(h, "listen", "it is in use"); };
  const auto refused = radio.open(heard);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::config_range);
  EXPECT_EQ(refused.error().parameter, "listen");
  EXPECT_NE(refused.error().detail.find("parameter listen: it is in use"), std::string::npos)
      << refused.error().detail;
}

TEST(parameters, are_split_at_commas_when_they_are_lists) {
  const std::vector<cpns_parameter_spec> specs{sdk::text("to", "Where to.", "", 0, 100)};
  const cpns_parameter_list known{specs.data(), 1, sizeof(cpns_parameter_spec)};
  const auto split = [&](const char* value) {
    const cpns_parameter given{"to", value};
    const cpns_open_args args{sizeof(cpns_open_args), CPNS_ROLE_CENTRAL, &given, 1, false};
    return sdk::parameters{known, args}.list("to");
  };
  using words = std::vector<std::string>;
  EXPECT_EQ(split("a, b ,c"), (words{"a", "b", "c"}));
  EXPECT_EQ(split(",, a ,"), (words{"a"}));
  EXPECT_EQ(split(""), words{});
  EXPECT_EQ(split("  "), words{});
}

TEST(moniker, has_a_plugin_an_address_and_parameters) {
  const auto read = [](const std::string& text) {
    const auto m = parse_moniker(text);
    if (!m) return std::string{"refused"};
    std::string out = m->plugin + "|" + m->address;
    for (const auto& [k, v] : m->params) out += "|" + k + "=" + v;
    return out;
  };
  EXPECT_EQ(read("tcp"), "tcp|");
  EXPECT_EQ(read("tcp:127.0.0.1:7000,mtu=200"), "tcp|127.0.0.1:7000|mtu=200");
  EXPECT_EQ(read("tcp:127.0.0.1:1,127.0.0.1:2,mtu=200,network=a=b"),
            "tcp|127.0.0.1:1,127.0.0.1:2|mtu=200|network=a=b");
  EXPECT_EQ(read("tcp,mtu=200"), "tcp||mtu=200");
  EXPECT_EQ(read("loopback:,seed=7"), "loopback||seed=7");
  EXPECT_EQ(read("tcp:[::1]:7000"), "tcp|[::1]:7000");
  EXPECT_EQ(read("./libradio.so:/run/radio.sock,n="), "./libradio.so|/run/radio.sock|n=");
  for (const char* text : {"", ":x", ",a=1", "tcp,nonsense", "tcp:a,b=1,c", "tcp,mtu=1,mtu=2"})
    EXPECT_EQ(read(text), "refused") << text;
}

TEST(moniker, becomes_the_parameters_of_each_role) {
  const auto d = *described(usual);
  const auto m = *parse_moniker("scripted:here,mtu=64");
  EXPECT_EQ(*params_of(m, d, central), (params{{"listen", "here"}, {"mtu", "64"}}));
  EXPECT_EQ(*params_of(m, d, peripheral), (params{{"connect", "here"}, {"mtu", "64"}}));
  EXPECT_EQ(*params_of(*parse_moniker("scripted,listen=x,connect=y"), d, central), (params{{"listen", "x"}}));
  EXPECT_FALSE(params_of(*parse_moniker("scripted:here,listen=there"), d, central));
  plugin_description bare;
  bare.name = "bare";
  EXPECT_FALSE(params_of(*parse_moniker("bare:here"), bare, central));
  EXPECT_EQ(*params_of(*parse_moniker("bare,a=1"), bare, central), (params{{"a", "1"}}));
}

}  // namespace
}  // namespace cpns::plugins
