"""What the samples talk about: objects made through the API, fresh for each sample that needs them."""

import time

import requests

FLOW = [
    {"name": "First task", "task": "core.echo", "index": 0, "arguments": {"key": "value"}},
    {"name": "Second task", "task": "core.echo", "index": 1, "arguments": {"key": "{{ tasks.first_task.result.key }}"}},
]
DEPENDENCIES = [{"source_task_operation": 0, "target_task_operation": 1}]

PARAMETER = {"name": "text", "data_type": "string", "position": 1, "doc_string": "The text.", "optional": False}
INTEGRATION = {
    "class_name": "Documented", "name": "Documented integration", "short_name": "documented", "auth_type": "none",
    "code_digest": "5f" * 32,
    "tasks": [{
        "task_name": "Documented task", "python_method_name": "documented_task", "description": "Returns the text.",
        "parameters": [PARAMETER], "input_type": "JSON", "input_yml": "type: object",
        "output_type": "JSON", "output_yml": "type: string", "output_parameters": [PARAMETER],
        "output_is_list": False, "pure": True, "repeatable": True,
    }],
}  # fmt: skip


class World:
    """A server, seen with one token."""

    def __init__(self, base, token):
        self.base = base.rstrip("/")
        self.token = token
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer {token}"
        email = self.call("GET", "users/")["email"]
        profile = {"email": email, "full_name": "John Doe", "auth0_id": "auth0|123456789"}
        self.user = self.call("POST", "users/create_if_not_exists", json=profile)
        self.call("PUT", "integrations/sync", json={"integrations": [INTEGRATION]})
        definitions = self.call("GET", "task_definitions/all", params={"limit": 1000})
        self.tasks = {found["python_method_name"]: found["id"] for found in definitions}
        self.documented = next(found for found in definitions if found["task_name"] == "Documented task")

    def call(self, method, path, **more):
        response = self.http.request(method, f"{self.base}/api/v1/{path}", timeout=30, **more)
        if response.status_code != 200:
            raise SystemExit(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()

    def operations(self):
        """Task operations as the API takes them."""
        return [
            {"task_definition": self.tasks[given["task"]], **{key: value for key, value in given.items() if key != "task"}}
            for given in FLOW
        ]

    def flow(self, operations=None, dependencies=DEPENDENCIES):
        body = {"name": "Documented flow", "task_operations": operations or self.operations(), "dependencies": dependencies}
        return self.call("POST", "flows/", json=body)["id"]

    def failing_flow(self):
        failing = {"name": "Failing task", "task_definition": self.tasks["core.fail"], "index": 0, "arguments": {}}
        return self.flow([failing], [])

    def request(self, flow):
        body = {"request_instructions": "Process this request.", "request_metadata": [{"key": "value"}], "flow": flow}
        return self.call("POST", "flow_requests/", json=body)["id"]

    def run(self, flow, request, until=None):
        """A run; approved and waited for if it is to end in `until`."""
        run = self.call("POST", "flow_runs/", json={"flow": flow, "flow_request": request})["id"]
        if until:
            self.call("PUT", "flow_runs/approve", params={"flow_run_id": run})
            self.wait(run, until)
        return run

    def wait(self, run, until):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = self.call("GET", "flow_runs/with_flow_result", params={"id": run})
            if found["status"] == until and found["flow_result"]:
                return
            time.sleep(0.02)  # the API has no call that waits
        raise SystemExit(f"run {run} did not become {until}: {found}")

    def names(self, code):
        """Placeholder → what it stands for in this sample."""
        flow = self.failing_flow() if "flow_runs/retry" in code else self.flow()
        request = self.request(flow)
        if any(f"flow_runs/{verb}" in code for verb in ("approve", "reject", "cancel")):
            run = self.run(flow, request)
        elif "flow_runs/retry" in code:
            run = self.run(flow, request, "failed")
        else:
            run = self.run(flow, request, "completed")
        return {
            "uuid-of-flow": flow,
            "uuid-of-new-flow": self.flow() if "uuid-of-new-flow" in code else None,
            "uuid-of-flow-request": request,
            "uuid-of-flow-run": run,
            "uuid-of-organization": self.user["organization"],
            # Flows are made of a task that takes any arguments.
            "uuid-of-task-definition": self.tasks["core.echo"] if '"task_definition"' in code else self.documented["id"],
            "uuid-of-integration": self.documented["integration"],
        }
