"""Installs adgm_tf; BUILD.md says which versions were tried."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "adgm_tf" / "__init__.py").read_text()).group(1)

setuptools.setup(
    name="adgm_tf",
    version=VERSION,
    description="Auxiliary deep generative models for semi-supervised learning",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    packages=setuptools.find_packages(include=["adgm_tf", "adgm_tf.*"]),
    package_data={"adgm_tf.analysis": ["*.jinja"]},
    python_requires=">=3.11,<3.14",
    classifiers=["Programming Language :: Python :: 3.11", "Programming Language :: Python :: 3.12",
                 "Programming Language :: Python :: 3.13"],
    entry_points={"console_scripts": ["adgm=adgm_tf.__main__:main"]},
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "tf-keras>=2.21,<2.22",
        "tensorflow-probability>=0.25,<0.26",
        "tensorflow-datasets>=4.9.10,<4.10",
        "importlib_resources>=7.1,<8",
        "tensorboard>=2.21,<2.22",
        "absl-py>=2.5,<3",
        "numpy>=2.3,<2.4",
        "jaxtyping>=0.3.11,<0.4",
        "jinja2>=3.1,<4",
        "matplotlib>=3.11,<4",
        "mlxtend>=0.25,<0.26",
        "pandas>=3.1,<4",
        "pillow>=12.1.1,<14",
        "psutil>=7.2,<8",
        "pyarrow>=25.0,<27",
        "requests>=2.34,<3",
        "scikit-learn>=1.9,<2",
        "scipy>=1.17,<2",
        "tqdm>=4.70,<5",
    ],
    extras_require={
        # For NVIDIA GPUs: the CUDA libraries that TensorFlow names.
        "cuda": ["tensorflow[and-cuda]>=2.21,<2.22"],
        # For exports in ONNX and LiteRT.
        "export": ["ai-edge-litert>=2.3,<3", "onnx>=1.23,<2", "onnxruntime>=1.32,<2", "tf2onnx>=1.17,<2"],
        # For the small server of an export, and what its tests and those of TensorFlow Serving's messages need.
        "serve": ["fastapi>=0.165,<1", "uvicorn>=0.54,<1"],
        # For predictions over shards: holds Pillow below 13, PyArrow below 26, Protobuf below 7, beartype below 0.23.
        "beam": ["apache-beam>=2.77,<3"],
        # For the benchmark beside PyTorch; nothing else uses it.
        "torch": ["torch>=2.13,<3"],
        "test": ["beartype>=0.22,<0.24", "httpx>=0.28,<1", "kubeflow-trainer-api>=2.3,<3", "pytest>=9.2,<10",
                 "pytest-xdist>=3.8,<4", "pyyaml>=6.0,<7", "ruff>=0.17,<0.18", "tensorflow-serving-api>=2.21,<2.22"],
    },
)
